"""Weights in the cache that do not read, and networks of the user's own that cannot be used."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bad_case import Case, Payload

from explorer.data.preparing import prepare
from explorer.data.splits import split
from explorer.models.base import CARD, WEIGHTS, recipe_named, weights_key
from explorer.space.values import DataSettings
from explorer.system.hashing import cache_root
from explorer.tasks.task import DEFAULT_TASK, task_named

DATA = DataSettings("digits", validation=300, calibration=128)
SPACE = """\
name: digits
model: {model}{input}
data: {{name: digits, validation: 300, calibration: 128}}
objectives: {{accuracy: maximize}}
"""
TRAIN = ("train", "digits.yaml", "--recipe", "quick", "--quiet")
START = ("start", "digits.yaml", "--studies", "studies", "--no-dashboard", "--quiet")


def _weights(n_classes: int = 10) -> bytes:
    """Of a network that nobody trained."""
    import torch
    from safetensors.torch import save

    from explorer.models.slimmable_cnn import build

    with torch.random.fork_rng(devices=[]):
        return save(build(n_classes, (1, 8, 8), [100.0], [50.0]).state_dict())


def in_cache(change: Callable[[Path], object]) -> Callable[[Path], None]:
    """Weights that would be taken for trained ones, and then `change` in their folder."""

    def make(work: Path) -> None:
        (work / "digits.yaml").write_text(SPACE.format(model="slimmable_cnn", input=""))
        dataset = prepare(DATA, None, lambda _: None)
        splits = split(dataset, DATA, task_named(DEFAULT_TASK)).training_fingerprint()
        key = weights_key("slimmable_cnn", dataset.fingerprint, splits, recipe_named("quick"), 0)
        folder = cache_root() / "weights" / key
        folder.mkdir(parents=True)
        (folder / WEIGHTS).write_bytes(_weights())
        (folder / CARD).write_text(json.dumps({"family": "slimmable_cnn", "fingerprint": "0" * 64}))
        change(folder)

    return make


def _cut(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def _giant_head(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((2**62).to_bytes(8, "little") + b"{}")


def _pickled(folder: Path) -> None:
    # The canary belongs into the working folder, which lies beside the cache.
    (folder / WEIGHTS).write_bytes(pickle.dumps(Payload(cache_root().with_name("work"))))


def _not_numbers(folder: Path) -> None:
    from safetensors.numpy import load, save

    tensors = load((folder / WEIGHTS).read_bytes())
    (folder / WEIGHTS).write_bytes(save({name: np.full_like(array, -1) for name, array in tensors.items()}))


_REMEDY = r"^the trained weights at \S+ do not read \((?s:.+)\): delete that folder, and they are trained again\."

WEIGHTS_IN_CACHE = (
    Case("weights_cut_short", in_cache(_cut), TRAIN, 1, _REMEDY),
    Case("weights_empty", in_cache(lambda f: (f / WEIGHTS).write_bytes(b"")), TRAIN, 1, _REMEDY),
    Case("weights_with_a_giant_head", in_cache(_giant_head), TRAIN, 1, _REMEDY),
    Case("weights_with_a_payload", in_cache(_pickled), TRAIN, 1, _REMEDY),
    Case("weights_of_other_shapes", in_cache(lambda f: (f / WEIGHTS).write_bytes(_weights(3))), TRAIN, 1, _REMEDY),
    Case("weights_that_were_exchanged", in_cache(_not_numbers), TRAIN, 1,
         r"^the trained weights at \S+ do not read \(these are not the weights that were stored\)"),
    Case("weights_with_a_card_of_no_json", in_cache(lambda f: (f / CARD).write_text("{")), TRAIN, 1, _REMEDY),
    Case("weights_with_a_card_that_is_a_list", in_cache(lambda f: (f / CARD).write_text("[1]")), TRAIN, 1, _REMEDY),
    Case("weights_with_a_card_nested_too_deeply", in_cache(lambda f: (f / CARD).write_text("[" * 100_000)), TRAIN, 1,
         _REMEDY),
)  # fmt: skip


def own(name: str, source: str, stated: str = "unit") -> Callable[[Path], None]:
    """A network of the user's own, in a module of that name: modules are imported once a process."""

    def make(work: Path) -> None:
        (work / "digits.yaml").write_text(SPACE.format(model=f"{name}:make", input=f"\ninput: {stated}"))
        (work / f"{name}.py").write_text(source)

    return make


def _own_case(name: str, source: str, says: str, is_users_code: bool = True) -> Case:
    return Case(name, own(name, source), START, 2, says, is_users_code)


OWN_NETWORKS = (
    _own_case("own_network_that_raises_on_import", "1 / 0\n", r"ZeroDivisionError: division by zero\nThe module '"),
    _own_case("own_network_that_does_not_parse", "def make(:\n",
              r"SyntaxError(?s:.*)\nThe module '.*cannot be imported"),
    _own_case("own_network_that_exits", "raise SystemExit(0)\n", r"\nThe module '.*cannot be imported.*SystemExit: 0"),
    _own_case("own_network_without_the_function", "def other():\n    pass\n",
              r"^expected a function 'make' in the module 'own_network_without_the_function' .*; it has other", False),
    _own_case("own_network_that_is_a_path", "def make():\n    return 'weights.pt'\n",
              r"^expected 'own_network_that_is_a_path:make' to return a torch\.nn\.Module, got str", False),
    _own_case("own_network_that_raises", "def make():\n    raise OSError('no weights.pt here')\n",
              r"\nYour network's function .* raised OSError: no weights\.pt here"),
    Case("own_network_for_three_channels", own("never_run", "1 / 0\n", "imagenet"), START, 2,
         r"^input: imagenet has the mean and std of 3 channels, and the inputs have 1 channel: state as many, as in"),
    Case("own_network_for_two_channels_checked", own("never_run", "1 / 0\n", "{mean: [0, 0], std: [1, 1]}"),
         ("check", "digits.yaml"), 2, r"^input: \{mean: \[0\.0, 0\.0\], std: .*\} has the mean and std of 2 chan"),
    Case("own_network_that_is_missing",
         lambda w: (w / "digits.yaml").write_text(SPACE.format(model="not_here:make", input="\ninput: unit")),
         START, 2, r"The module 'not_here' of your network 'not_here:make' cannot be imported", is_users_code=True),
)  # fmt: skip

CASES = (*WEIGHTS_IN_CACHE, *OWN_NETWORKS)
