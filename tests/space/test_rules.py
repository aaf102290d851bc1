import pytest

from explorer.space.refusal import Refused
from explorer.space.rules import check_name, model_traits
from explorer.space.values import Vocabulary


@pytest.mark.parametrize("name", ["a", "cifar10-cnn", "A.b_c-9", "...x", "x" * 64])
def test_check_name_of_a_folder_name_passes(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\n", "a b", "ä", "٣", "x" * 65])
def test_check_name_of_any_other_shows_the_pattern(name: str) -> None:
    with pytest.raises(Refused, match=r"expected a name that matches \[A-Za-z0-9\._-\]\{1,64\}"):
        check_name(name)


@pytest.mark.parametrize("model", ["nets:make", "my.nets_2:Make", "_a:_b"])
def test_model_traits_of_an_own_network_has_nothing_to_vary_by_itself(vocabulary: Vocabulary, model: str) -> None:
    assert model_traits(model, vocabulary) is vocabulary.own


@pytest.mark.parametrize("model", ["resnet", "a:b:c", ":make", "nets:", "../x:y", "a b:c", None, 3, []])
def test_model_traits_of_anything_else_is_unknown(vocabulary: Vocabulary, model: object) -> None:
    assert model_traits(model, vocabulary) is None
