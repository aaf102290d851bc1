"""InputSpec: the pixel normalization that a user's own network expects, from the file's `input`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer.errors import UsageError
from explorer.parameters import Numbers
from explorer.space.allowed_values import checked
from explorer.space.refusal import Refused, described, inside, listed, nearest, unknown_key

INPUTS = ("unit", "imagenet", "raw", "dataset")
"""Pixels from 0 to 1; normalized by ImageNet's mean and std; from 0 to 255; normalized by the training inputs."""

HOW_TO_SAY = (
    "'input: unit' for pixels from 0 to 1 (torchvision's ToTensor alone), 'input: imagenet' for ToTensor and then "
    "ImageNet's mean and std, 'input: {mean: [...], std: [...]}' for ToTensor and then another Normalize, 'input: raw' "
    "for pixels from 0 to 255, or 'input: dataset' for the mean and std of the training inputs"
)

_MEANS, _STDS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LARGEST = 255.0
_KEYS = ("mean", "std")
_MAX_CHANNELS = 16  # as in the manifest of a bundle
_SCALE = "on the 0 to 1 scale, as in torchvision's Normalize after ToTensor"
_TOO_LARGE = f"{_SCALE}; divide values of the 0-255 scale by 255"
_RULES = {
    "mean": Numbers(-1, 1, why_minimum=_SCALE, why_maximum=_TOO_LARGE),
    "std": Numbers(0, 10, is_open=True, why_maximum=_TOO_LARGE),
}
_LEAST_STD = 1e-4  # far less than the step between two of the 256 levels of a pixel


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The normalization of pixels: (pixel / 255 - mean) / std, with one mean and std per channel.

    `word` is one of INPUTS; or "", and `mean` and `std` are stated in the file, on the 0 to 1 scale.
    """

    word: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __str__(self) -> str:
        """Return the text of the file: `unit`, or `{mean: [0.5], std: [0.5]}`."""
        return self.word or f"{{mean: {list(self.mean)}, std: {list(self.std)}}}"

    def statistics(self, n_channels: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return mean and std per channel on the 0-255 scale; None where they are those of the training inputs.

        Raises UsageError where they are stated for another number of channels.
        """
        if self.word == "dataset":
            return None
        if self.word in ("unit", "raw"):
            return (0.0,) * n_channels, (_LARGEST if self.word == "unit" else 1.0,) * n_channels
        mean, std = (_MEANS, _STDS) if self.word == "imagenet" else (self.mean, self.std)
        if len(mean) != n_channels:
            example = InputSpec("", (0.5,) * n_channels, (0.5,) * n_channels)
            raise UsageError(
                f"input: {self} has the mean and std of {_channels(len(mean))}, and the inputs have "
                f"{_channels(n_channels)}: state as many, as in 'input: {example}', or write "
                "'input: unit' for pixels from 0 to 1"
            )
        return tuple(_LARGEST * value for value in mean), tuple(_LARGEST * value for value in std)


def read_input(raw: Any) -> InputSpec:
    """Return the specification of a word or a mapping of the file. Raises Refused."""
    if isinstance(raw, dict):
        return InputSpec("", *_stated(raw))
    if isinstance(raw, str) and raw in INPUTS:
        return InputSpec(raw)
    hint = nearest(raw, INPUTS) if isinstance(raw, str) else None
    expected = f"expected how the network wants its pixels ({listed(INPUTS)}, or {{mean: [...], std: [...]}})"
    raise Refused(f"{expected}, got {described(raw)}", hint=hint)


def _stated(raw: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for key in raw:
        if key not in _KEYS:
            raise unknown_key((key,), "'input'", _KEYS)
    for key in _KEYS:
        if key not in raw:
            raise Refused(f"expected {{mean: [...], std: [...]}}, got no '{key}': add it")
    mean, std = (_channel_values(key, raw[key]) for key in _KEYS)
    if len(mean) != len(std):
        raise Refused(
            f"expected as many values as 'mean' has, one a channel ({len(mean)}), got {len(std)}", at=("std",)
        )
    return mean, std


def _channel_values(key: str, raw: Any) -> tuple[float, ...]:
    """Return one number per channel. Raises Refused."""
    if not isinstance(raw, list) or not 1 <= len(raw) <= _MAX_CHANNELS:
        came = f"a list of {len(raw)}" if isinstance(raw, list) else described(raw)
        example = f"{key}: [0.5, 0.5, 0.5]"
        raise Refused(f"expected a list of one number a channel, such as '{example}', got {came}", at=(key,))
    values = []
    for index, value in enumerate(raw):
        with inside(key), inside(index):
            values.append(float(checked(value, _RULES[key])))
            if key == "std" and values[-1] < _LEAST_STD:
                raise Refused(f"expected at least {_LEAST_STD:g} ({_SCALE}), got {value!r}")
    return tuple(values)


def _channels(n: int) -> str:
    return f"{n} channel{'' if n == 1 else 's'}"
