"""The page, as a browser shows it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from serving_stand_ins import Script, image

pytestmark = pytest.mark.slow


DROP = """([target, bytes, type]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type }));
  for (const name of ["dragenter", "dragover", "drop"]) {
    target.dispatchEvent(new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: data }));
  }
}"""
PASTE = """([bytes, type]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
}"""
AXE = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


@pytest.fixture
def open_page(browser):
    """Opens the page of a server, and remembers what it complained about and asked for."""
    contexts = []

    def opened(served, script=None, **options):
        context = browser.new_context(**({"viewport": {"width": 1024, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.complaints, page.requests = [], []
        page.on("console", lambda message: message.type == "error" and page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("filechooser", lambda chooser: None)  # so that the system's dialog never opens, from the start
        if script is not None:
            page.add_init_script(path=script)
        page.goto(served.server.address)
        return page

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture
def picture(tmp_path):
    """An image file of the third class, with the exit two of three."""
    path = tmp_path / "third.png"
    Image.fromarray(image(1, 0, 5).transpose(1, 2, 0)).save(path)
    return path


def check_third(page):
    page.locator("#result:not([hidden]):not(.waiting)").wait_for()
    assert page.locator("#classes .name").all_inner_texts() == ["cat", "ant", "bee", "döe", "elk"]
    assert page.locator("#classes .share").first.inner_text() == f"{100 * np.exp(5) / (np.exp(5) + np.e + 4):.1f} %"
    assert page.locator("#exit").inner_text() == "2 of 3, early"
    assert page.locator("#inference").inner_text().endswith(" ms")
    assert page.locator("#total").inner_text().endswith(" ms")
    assert page.locator("#said").inner_text().startswith("cat, ")
    assert page.evaluate("document.getElementById('picture').naturalWidth") == 8


def test_page_shows_classes_exit_and_time_of_a_dropped_image(served, open_page, picture):
    page = open_page(served)
    target = page.locator("#drop").element_handle()
    page.evaluate(DROP, [target, list(picture.read_bytes()), "image/png"])
    check_third(page)
    assert page.complaints == []
    here = served.server.address
    assert {url.partition("#")[0] for url in page.requests if not url.startswith(("data:", "blob:"))} == {
        f"{here}/",
        f"{here}/page/page.css",
        f"{here}/page/page.js",
        f"{here}/classify",
    }


def test_page_takes_a_chosen_and_a_pasted_image(served, open_page, picture):
    page = open_page(served)
    page.set_input_files("#file", picture)
    check_third(page)
    page.reload()
    page.evaluate(PASTE, [list(picture.read_bytes()), "image/png"])
    check_third(page)
    assert page.complaints == []


def test_page_is_used_with_the_keyboard_alone(served, open_page, picture):
    page = open_page(served)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "file"
    assert page.locator("#drop").evaluate("(drop) => getComputedStyle(drop).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(picture)
    check_third(page)


def test_page_says_what_is_wrong_with_a_file_and_takes_the_next(served, open_page, picture, tmp_path):
    page = open_page(served)
    (tmp_path / "note.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "note.png")
    page.locator("#problem", has_text="This is not an image file").wait_for()
    assert page.locator("#result").is_hidden()
    page.set_input_files("#file", picture)
    check_third(page)
    assert page.locator("#problem").is_hidden()
    assert [text for text in page.complaints if "415" not in text] == []


def test_page_says_when_the_server_has_gone(serve, open_page, picture):
    served = serve()
    page = open_page(served)
    served.server.stop()
    page.set_input_files("#file", picture)
    page.locator("#problem", has_text="The server cannot be reached").wait_for()


def test_page_shows_hostile_names_as_text(serve, open_page, picture):
    hostile = "<img src=x onerror=alert(1)>$name"
    served = serve(model={"name": hostile, "summary": hostile, "facts": {"classes": [hostile, *"bcdef"]}})
    page = open_page(served)
    page.set_input_files("#file", picture)
    page.locator("#result:not([hidden]):not(.waiting)").wait_for()
    assert page.locator("h1").inner_text() == hostile
    assert hostile in page.locator("#classes .name").all_inner_texts()
    assert page.locator("body img").count() == 1
    assert page.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1024, 390])
def test_page_has_no_violation_and_fits(serve, open_page, axe, picture, tmp_path, theme, width):
    served = serve(Script())
    viewport = {"width": width, "height": 844}
    page = open_page(served, axe, viewport=viewport, color_scheme=theme, reduced_motion="reduce")
    assert page.evaluate(AXE) == []
    page.set_input_files("#file", picture)
    check_third(page)
    assert page.evaluate(AXE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    (tmp_path / "note.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "note.png")
    page.locator("#problem:not([hidden])").wait_for()
    assert page.evaluate(AXE) == []
