"""The page for those who do not see it, or not well: axe-core finds no serious violation, in light and dark."""

import pytest

from explorer.study.front import front_view
from explorer.views.page.html import render_offline

pytestmark = pytest.mark.slow

ASK = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter((one) => ["serious", "critical"].includes(one.impact))
  .map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


STATES = {
    "a variant and its comparison": "trial=7&pinned=0&color=runtime&shape=runtime&filter=eager",
    "limits that nothing meets": "limit.latency_ms<%3D=0.01&brush.width=0.5,1",
    "a confirmed study": "trial=3&pinned=1,2",
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", [*STATES, "an empty study", "a phone"])
def test_page_has_no_serious_violation(makers, browser, axe, tmp_path, theme, state):
    made = {"an empty study": makers.make_result, "a confirmed study": makers.make_near_result}
    result = made.get(state, lambda: makers.make_seeded_result(30))()
    path = tmp_path / "report.html"
    path.write_text(render_offline(front_view(result)), encoding="utf-8")
    width = 390 if state == "a phone" else 1280
    context = browser.new_context(offline=True, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    try:
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.add_init_script(path=axe)
        page.goto(f"{path.as_uri()}#theme={theme}&{STATES.get(state, '')}")
        page.wait_for_selector("body[data-ready=true]")
        for details in page.locator("details").all():
            details.evaluate("element => { element.open = true; }")
        assert page.evaluate(ASK) == []
    finally:
        context.close()
