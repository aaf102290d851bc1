from collections.abc import Callable

from explorer.records import Variant
from explorer.space.values import Parameter, SearchSpace, Vocabulary

Parse = Callable[[str], SearchSpace]


def test_n_variants_counts_what_can_be_executed(parse: Parse, valid_text: str, vocabulary: Vocabulary) -> None:
    assert parse(valid_text).n_variants(vocabulary) == 3 * 5 * 3
    per_stage = valid_text.replace("[0.25, 0.5, 1.0]", "{per_stage: [0.5, 1.0]}")
    assert parse(per_stage).n_variants(vocabulary) == 8 * 5 * 3


def test_baseline_is_the_full_network_with_the_smallest_load(parse: Parse, valid_text: str) -> None:
    text = valid_text.replace("batch_size: 1", "batch_size: [4, 8]").replace("threads: 1", "threads: 2")
    space = parse(text)
    assert space.baseline() == Variant(batch_size=4, threads=2)
    assert list(space.baseline()) == list(space.parameters)


def test_parameter_is_fixed_and_is_ordered() -> None:
    assert Parameter("width", (0.5,)).is_fixed
    assert Parameter("width", (0.5, 1.0)).is_ordered
    assert not Parameter("runtime", ("eager", "onnxruntime")).is_ordered
