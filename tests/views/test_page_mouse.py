"""The page under a real mouse: points, brushes, the view in space, and what a button copies."""

import io
import re

import numpy as np
import pytest
from browsing import DRAWN, FRONT, drag, sorted_by_number, wait_for_address
from PIL import Image

from explorer.study.front import front_view
from explorer.views.page.detail import export_command

pytestmark = pytest.mark.slow

# The middle of a trial's point, in pixels of the window, as the browser has laid it out.
MIDDLE = """(number) => {
  const points = [...document.querySelectorAll("#plot-front .scatterlayer g.trace")]
    .filter((group) => group.__data__[0].trace.hoverinfo === "none")
    .flatMap((group) => [...group.querySelectorAll("path.point")]);
  const box = points.find((point) => point.__data__.data === number).getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
}"""
# The trials whose points the picture does not pale.
NOT_PALE = """() => [...document.querySelectorAll("#plot-front .scatterlayer g.trace")]
  .filter((group) => group.__data__[0].trace.hoverinfo === "none")
  .flatMap((group) => [...group.querySelectorAll("path.point")])
  .filter((point) => Number(point.style.opacity || 1) > 0.5)
  .map((point) => point.__data__.data).sort((a, b) => a - b)"""
ROWS = (
    """() => [...document.querySelectorAll("#trials-table tr[data-trial]")].map((row) => Number(row.dataset.trial))"""
)
KNEE_ORANGE = (0xD5, 0x5E, 0x00)


def test_page_mouse_over_a_point_shows_what_it_is_and_a_click_opens_its_sheet(makers, open_page):
    result = makers.make_small_result()
    page = open_page(result, view="theme=light")
    for number in (1, 3, 2):  # the knee, a dominated one, the front's other end
        place = page.evaluate(MIDDLE, number)
        page.mouse.move(*place)
        page.locator("#tip strong", has_text=re.compile(rf"^Trial {number}$")).wait_for()
        assert page.locator("#variant-heading").inner_text() != f"Trial {number}"
        page.mouse.move(5, 5)
        page.locator("#tip").wait_for(state="hidden")
        click(page, place)
        page.locator("#variant-heading", has_text=re.compile(rf"^Trial {number}$")).wait_for()
        wait_for_address(page, f"trial={number}")
        assert page.locator(".metrics").is_visible()
    box = page.locator("#plot-front .nsewdrag").bounding_box()
    click(page, (box["x"] + box["width"] - 3, box["y"] + 3))  # where no point is
    assert page.locator("#variant-heading").inner_text() == "Trial 2"
    assert page.complaints == []


def test_page_zoomed_mouse_finds_the_point_where_it_is_now(makers, open_page):
    result = makers.make_seeded_result(30)
    page = open_page(result)
    before = {number: page.evaluate(MIDDLE, number) for number in page.evaluate(FRONT)}
    drag(page)
    box = page.locator("#plot-front .nsewdrag").bounding_box()
    inside = [number for number in before if is_within(box, page.evaluate(MIDDLE, number))]
    assert inside
    for number in inside:
        place = page.evaluate(MIDDLE, number)
        assert place != before[number]
        click(page, place)
        page.locator("#variant-heading", has_text=re.compile(rf"^Trial {number}$")).wait_for()
    assert page.complaints == []


def test_page_range_that_the_mouse_draws_on_an_axis_filters_table_and_picture(makers, open_page):
    result = makers.make_seeded_result(20)  # no more than rows that are in sight at once
    page = open_page(result)
    all_rows, all_drawn = page.evaluate(ROWS), sorted(page.evaluate(DRAWN))
    assert page.evaluate(NOT_PALE) == all_drawn
    widths = sorted({trial.variant["width"] for trial in result.trials})
    # From below the axis to half of the way from its second value to its third.
    draw_range(page, "width", -0.02, 1.5 / (len(widths) - 1))
    wait_for_address(page, "brush.width")
    kept = {trial.number for trial in result.trials if trial.variant["width"] <= widths[1]}
    assert 0 < len(kept & set(all_drawn)) < len(all_drawn)
    page.locator("#table-count", has_text=f"{len(kept)} of 20 trials").wait_for()
    assert set(page.evaluate(ROWS)) == kept
    assert set(page.evaluate(NOT_PALE)) == kept & set(all_drawn)
    assert page.locator("#parallel .brush").count() == 1

    draw_range(page, "runtime", 0.6, 1.02)  # a second axis, its upper end
    wait_for_address(page, "brush.runtime")
    kept &= {trial.number for trial in result.trials if trial.variant["runtime"] == "onnxruntime"}
    assert set(page.evaluate(ROWS)) == kept
    assert set(page.evaluate(NOT_PALE)) == kept & set(all_drawn)

    for name in ("width", "runtime"):
        draw_range(page, name, 0.4, 0.4)  # a click lets go
        wait_for_address(page, f"brush.{name}", is_there=False)
    assert page.locator("#parallel .brush").count() == 0
    assert (page.evaluate(ROWS), page.evaluate(NOT_PALE)) == (all_rows, all_drawn)
    assert page.locator("#table-count").inner_text() == "20 trials"
    assert page.complaints == []


def test_page_in_space_is_really_drawn_and_flat_again_after(makers, open_page):
    result = makers.make_seeded_result(30)
    page = open_page(result, has_webgl=True, view="theme=light")
    flat = sorted(page.evaluate(DRAWN))
    page.get_by_role("checkbox", name="3-D").check()
    page.wait_for_selector("#plot-front .gl-container canvas")
    wait_for_knee(page, is_there=True)
    points = page.evaluate(
        """() => document.getElementById("plot-front").data.filter((trace) => trace.hoverinfo === "none")
        .map((trace) => [trace.type, trace.customdata, [trace.x, trace.y, trace.z].flat().every(Number.isFinite)])"""
    )
    feasible = {trial.number for trial in result.trials if trial.is_feasible}
    assert [kind for kind, *_ in points] == ["scatter3d", "scatter3d"]
    assert all(are_numbers for *_, are_numbers in points)
    assert sorted(number for _, numbers, _ in points for number in numbers) == sorted(feasible)
    assert sorted(points[1][1]) == [entry.trial.number for entry in sorted_by_number(front_view(result))]
    note = page.locator("#plot-note").inner_text()
    assert f"{len(flat) - len(feasible)} that break a constraint are left out" in note
    page.fill("#table-filter", "nothing-has-this")
    wait_for_knee(page, is_there=False)
    assert "the others are left out" in page.locator("#plot-note").inner_text()
    page.fill("#table-filter", "")
    wait_for_knee(page, is_there=True)
    page.get_by_role("checkbox", name="3-D").uncheck()
    page.wait_for_selector("#plot-front .scatterlayer path.point >> visible=true")
    assert sorted(page.evaluate(DRAWN)) == flat
    assert page.complaints == []


def test_page_in_space_without_webgl_says_so_and_is_drawn_flat(makers, open_page):
    page = open_page(makers.make_small_result())
    flat = sorted(page.evaluate(DRAWN))
    page.get_by_role("checkbox", name="3-D").check()
    page.locator("#plot-note", has_text="The view in space needs WebGL, which is switched off").wait_for()
    assert sorted(page.evaluate(DRAWN)) == flat
    assert page.locator("#plot-front canvas").count() == 0
    click(page, page.evaluate(MIDDLE, 1))
    page.locator("#variant-heading", has_text=re.compile(r"^Trial 1$")).wait_for()
    page.get_by_role("checkbox", name="3-D").uncheck()
    page.locator("#plot-note", has_not_text="WebGL").wait_for()
    assert page.complaints == []


REFUSES_TO_COPY = "navigator.clipboard.writeText = () => Promise.reject(new Error('no'));"


@pytest.mark.parametrize("script", ["", REFUSES_TO_COPY], ids=["allowed", "refused"])
def test_page_copies_the_command_that_exports_the_trial(makers, open_page, script):
    result = makers.make_seeded_result(30)
    page = open_page(result, script=script)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    knee = front_view(result).knee.trial.number
    behind = next(t.number for t in result.trials if t.is_feasible and t.number not in page.evaluate(FRONT))
    for number, command in (
        (knee, export_command(result, knee)),
        (behind, f"{export_command(result, behind)} --force"),
    ):
        page.locator(f"#trials-table tr[data-trial='{number}']").click()
        page.locator("#export-command", has_text=re.compile(rf"{re.escape(command)}$")).wait_for()
        page.get_by_role("button", name="Copy", exact=True).click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == command
        assert page.locator("#said").text_content() == "The command is copied."
    assert page.complaints == []


def click(page, place):
    """One click: the second of two in quick succession, wherever they are, would be a double click, which zooms out."""
    page.wait_for_timeout(2 * page.evaluate("document.getElementById('plot-front')._context.doubleClickDelay"))
    page.mouse.click(*place)


def is_within(box, place):
    return 0 < place[0] - box["x"] < box["width"] and 0 < place[1] - box["y"] < box["height"]


def draw_range(page, name, low, high):
    """Drag along an axis of the parallel coordinates, between two shares of its length."""
    grip = page.locator(f"#parallel [data-axis='{name}'] .grip")
    grip.scroll_into_view_if_needed()
    line = page.locator(f"#parallel [data-axis='{name}'] line").first.evaluate(
        "(line) => { const { left, top, bottom } = line.getBoundingClientRect(); return [left, top, bottom]; }"
    )
    x, top, foot = line
    page.mouse.move(x, foot - low * (foot - top))
    page.mouse.down()
    page.mouse.move(x, foot - high * (foot - top), steps=6)
    page.mouse.up()


def wait_for_knee(page, is_there):
    """Until the picture has, or has no longer, the knee's orange ring: read off what the browser shows."""
    for _ in range(300):
        picture = Image.open(io.BytesIO(page.locator("#plot-front").screenshot())).convert("RGB")
        is_orange = np.abs(np.asarray(picture, np.int16) - KNEE_ORANGE).max(axis=2) < 24
        if (is_orange.sum() > 40) == is_there:  # how many are smoothed away differs from one renderer to another
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the knee's ring is in the picture: expected {is_there}")
