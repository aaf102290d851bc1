import io

from rich.console import Console

from explorer.views.choosing import neighbor_text, print_choice


def test_neighbor_text_says_more_and_less_in_the_metrics_units():
    differences = {"accuracy": 0.0075, "latency_ms": -0.25, "cost_usd_per_million": 0.0}
    assert neighbor_text(7, differences) == (
        "trial 7 instead: 0.75 points more accuracy, 0.250 ms less latency, the same cost"
    )


def test_print_choice_says_what_why_and_what_else(makers):
    result = makers.make_small_result()
    stream = io.StringIO()
    console = Console(file=stream, width=160)
    print_choice(
        console,
        result,
        result.trial(3),
        "trial 3, by its number",
        ["is dominated by other trials"],
        [(1, {"accuracy": 0.05})],
    )
    first, objection, variant, numbers, neighbor = stream.getvalue().splitlines()
    assert first == "Trial 3 of made-up: trial 3, by its number"
    assert objection.strip() == "it is dominated by other trials"
    assert "width 0.25" in variant
    assert "accuracy 85.00 %" in numbers
    assert neighbor.strip() == "trial 1 instead: 5.00 points more accuracy"
