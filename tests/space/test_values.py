from collections.abc import Callable

import pytest

from explorer.records import Variant
from explorer.space.values import Parameter, SearchSpace, Vocabulary, uniform_width

Parse = Callable[[str], SearchSpace]


def test_variants_are_distinct_executable_and_as_many_as_counted(
    parse: Parse, valid_text: str, vocabulary: Vocabulary
) -> None:
    space = parse(valid_text)
    variants = list(space.variants(vocabulary))
    assert len(variants) == len(set(variants)) == space.n_variants(vocabulary) == 3 * 5 * 3
    assert all(vocabulary.is_supported(variant.runtime, variant.quantization) for variant in variants)
    assert ("eager", "static_int8") not in {(variant.runtime, variant.quantization) for variant in variants}


def test_variants_of_widths_per_stage_are_distinct(parse: Parse, valid_text: str, vocabulary: Vocabulary) -> None:
    space = parse(valid_text.replace("[0.25, 0.5, 1.0]", "{per_stage: [0.5, 1.0]}"))
    variants = list(space.variants(vocabulary))
    assert len(variants) == len(set(variants)) == space.n_variants(vocabulary) == 8 * 5 * 3
    assert Variant() in variants


def test_baseline_is_the_full_network_with_the_smallest_load(parse: Parse, valid_text: str) -> None:
    text = valid_text.replace("batch_size: 1", "batch_size: [4, 8]").replace("threads: 1", "threads: 2")
    assert parse(text).baseline() == Variant(batch_size=4, threads=2)


def test_parameter_knows_whether_it_is_fixed_and_ordered() -> None:
    assert Parameter("width", (0.5,)).is_fixed
    assert Parameter("width", (0.5, 1.0)).is_ordered
    assert not Parameter("runtime", ("eager", "onnxruntime")).is_ordered


@pytest.mark.parametrize(
    ("width", "expected"), [(0.5, 0.5), ((0.5, 0.5), 0.5), ((0.5, 1.0), (0.5, 1.0)), ((1.0,), 1.0)]
)
def test_uniform_width_is_a_number_where_every_stage_has_the_same(width: object, expected: object) -> None:
    assert uniform_width(width) == expected  # type: ignore[arg-type]
