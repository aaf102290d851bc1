"""What `input` means in numbers, compared with what torchvision does, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from explorer.errors import UsageError
from explorer.space.input_spec import INPUTS, InputSpec, read_input
from explorer.space.refusal import Refused

IMAGENET = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def by_spec(raw, images):
    """Raw images [b, c, h, w] as the specification has them."""
    mean, std = read_input(raw).statistics(images.shape[1])
    columns = [torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std)]
    return (images.float() - columns[0]) / columns[1]


@pytest.mark.parametrize(
    ("raw", "n_channels", "trained_on"),
    [
        ("unit", 1, lambda images: images),
        ("unit", 3, lambda images: images),
        ("raw", 3, lambda images: images * 255),
        ("imagenet", 3, IMAGENET),
        ({"mean": [0.5], "std": [0.5]}, 1, v2.Normalize([0.5], [0.5])),
        ({"mean": [0, 0, 0], "std": [1, 1, 1]}, 3, lambda images: images),
        ({"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 1]}, 3, v2.Normalize([0.5, 0.4, 0.3], [0.25, 0.5, 1.0])),
    ],
)
def test_statistics_make_of_raw_pixels_what_torchvision_does(raw, n_channels, trained_on):
    images = torch.randint(0, 256, (2, n_channels, 4, 4), dtype=torch.uint8)
    to_tensor = images.float() / 255  # ToTensor
    torch.testing.assert_close(by_spec(raw, images), trained_on(to_tensor), rtol=1e-5, atol=1e-6)


def test_statistics_of_the_data_set_are_the_training_images():
    assert read_input("dataset").statistics(3) is None


def test_statistics_unit_and_a_mean_of_0_are_the_same():
    assert read_input({"mean": [0, 0], "std": [1, 1]}).statistics(2) == read_input("unit").statistics(2)


@pytest.mark.parametrize(
    ("raw", "n_channels", "sentence"),
    [
        ("imagenet", 1, "imagenet has the mean and std of 3 channels, and the inputs have 1 channel: "),
        ({"mean": [0.5], "std": [0.5]}, 3, r"of 1 channel, and the inputs have 3 channels: .*0\.5, 0\.5, 0\.5"),
    ],
)
def test_statistics_for_other_channels_are_refused_and_never_spread(raw, n_channels, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        read_input(raw).statistics(n_channels)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("word", INPUTS)
def test_read_input_word_is_itself(word):
    assert (read_input(word), str(read_input(word))) == (InputSpec(word), word)


@pytest.mark.parametrize(
    ("raw", "at", "sentence"),
    [
        ("imagenett", (), "got the text 'imagenett'"),
        ("Unit", (), "got the text 'Unit'"),
        ("", (), "got the text ''"),
        (True, (), "got true"),
        (["unit"], (), "got a list"),
        ({}, (), "got no 'mean'"),
        ({"mean": [0.5]}, (), "got no 'std'"),
        ({"mean": [0.5], "std": [0.5], "scale": 255}, ("scale",), "'scale' is no key of 'input'"),
        ({"mean": [], "std": []}, ("mean",), "got a list of 0"),
        ({"mean": [0.5] * 17, "std": [0.5] * 17}, ("mean",), "got a list of 17"),
        ({"mean": 0.5, "std": 0.5}, ("mean",), "such as 'mean: "),
        ({"mean": [0.5], "std": "0.5"}, ("std",), "such as 'std: "),
        ({"mean": [None], "std": [0.5]}, ("mean", 0), "expected a number, got nothing"),
        ({"mean": [True], "std": [0.5]}, ("mean", 0), "expected a number, got true"),
        ({"mean": [-2], "std": [0.5]}, ("mean", 0), "expected at least -1"),
        ({"mean": [104.0], "std": [0.5]}, ("mean", 0), "divide values of the 0-255 scale by 255"),
        ({"mean": [0.5], "std": [58.4]}, ("std", 0), "divide values of the 0-255 scale by 255"),
        ({"mean": [0.5, 0.5], "std": [0.5, 0]}, ("std", 1), "expected more than 0, got 0"),
        ({"mean": [0.5, 0.5], "std": [0.5, -1]}, ("std", 1), "expected more than 0, got -1"),
        ({"mean": [0.5], "std": [1e-40]}, ("std", 0), "expected at least 0.0001"),
        ({"mean": [0.5, 0.5], "std": [0.5]}, ("std",), r"as many values as 'mean' has, one a channel \(2\), got 1"),
    ],
)
def test_read_input_what_no_network_expects_is_refused_at_its_place(raw, at, sentence):
    with pytest.raises(Refused, match=sentence) as caught:
        read_input(raw)
    assert caught.value.at == at


@pytest.mark.parametrize(("raw", "hint"), [("imagenett", "imagenet"), ("Unit", "unit"), ("data_set", "dataset")])
def test_read_input_unknown_word_has_the_nearest_as_hint(raw, hint):
    with pytest.raises(Refused) as caught:
        read_input(raw)
    assert caught.value.hint == hint
