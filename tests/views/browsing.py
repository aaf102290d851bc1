"""What the tests of the page in a browser share: what they read off it, and what a hand does to it."""

# WebGL is drawn by the processor here, slowly: most tests do without.
NO_WEBGL = """
const context = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith("webgl") ? null : context.call(this, kind, ...rest);
};
"""
POINTS = "#plot-front .scatterlayer path.point"
# The trials that the picture draws as the front.
FRONT = """() => document.getElementById("plot-front").data.find((trace) => trace.meta === "front").customdata"""

RANGE = """() => document.getElementById("plot-front")._fullLayout.xaxis.range"""

# The trials whose points are elements of the picture, as often as they are; rings around points are none.
DRAWN = """() => [...document.querySelectorAll("#plot-front .scatterlayer g.trace")]
.filter((group) => group.__data__[0].trace.hoverinfo === "none")
.flatMap((group) => [...group.querySelectorAll("path.point")].map((point) => point.__data__.data))"""


def wait_for_address(page, text, is_there=True):
    """Until the view in the address has, or has no longer, that text."""
    # not wait_for_function: it evaluates text in the page, which its policy forbids
    for _ in range(600):
        if (text in page.evaluate("location.hash")) == is_there:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{text} in {page.url}: expected {is_there}")


def drag(page):
    """Zoom into a part of the picture."""
    box = page.locator("#plot-front .nsewdrag").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 400, box["y"] + 260, steps=5)
    page.mouse.up()
    wait_for_address(page, "zoom")


def place_of(page, trial):
    """Where the usual picture has a trial, in pixels of the window."""
    values = trial.values()
    return page.evaluate(
        """([x, y]) => {
            const element = document.getElementById("plot-front");
            const { xaxis, yaxis } = element._fullLayout;
            const box = element.getBoundingClientRect();
            return [box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(y)];
        }""",
        [values["latency_ms"], 100 * values["accuracy"]],
    )


def click_on(page, trial):
    """Click where the usual picture has a trial."""
    page.mouse.click(*place_of(page, trial))


def sorted_by_number(summary):
    return sorted(summary.entries, key=lambda entry: entry.trial.number)
