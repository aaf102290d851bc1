"""The user's own network: taken as it is, or refused with the user's traceback first."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from explorer.errors import ModelError
from explorer.models.base import BaseNetwork
from explorer.models.own import load_own
from explorer.records import Variant

Load = Callable[..., BaseNetwork]

HEADER = "import torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"
GOOD = HEADER + (
    "def make(n_classes, image_shape):\n"
    "    torch.manual_seed(0)\n"
    "    c, h, w = image_shape\n"
    "    return nn.Sequential(nn.Flatten(), nn.Linear(c * h * w, n_classes), nn.Dropout(0.5))\n"
)
_names = itertools.count()


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some_data: Load) -> Load:
    """Write a module into the current directory and load its `make`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_load(source: str, function: str = "make") -> BaseNetwork:
        name = f"own_network_{next(_names)}"
        (tmp_path / f"{name}.py").write_text(source)
        return load_own(f"{name}:{function}", some_data())

    return write_and_load


def test_load_own_wraps_the_network_behind_normalization(load: Load) -> None:
    base = load(GOOD)
    images = torch.randint(0, 256, (5, 1, 6, 6), dtype=torch.uint8)
    torch.manual_seed(0)
    linear = torch.nn.Linear(36, 4)

    (logits,) = base.materialize(Variant())(images)

    torch.testing.assert_close(logits, linear(((images.float() - 100) / 50).flatten(1)))
    assert base.n_outputs == 4


def test_load_own_function_without_arguments_is_called_without(load: Load) -> None:
    base = load(HEADER + "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(36, 4))\n")

    assert len(base.materialize(Variant()).segments) == 1


def test_load_own_fingerprint_follows_weights_and_not_the_file(load: Load) -> None:
    other_weights = GOOD.replace("manual_seed(0)", "manual_seed(1)")
    prints = [load(source).card["fingerprint"] for source in (GOOD, other_weights, f"# a comment\n{GOOD}")]

    assert prints[0] != prints[1]
    assert prints[0] == prints[2]


def test_load_own_network_that_reads_a_file_at_each_call_is_refused_once_the_file_changed(
    load: Load, tmp_path: Path
) -> None:
    last = (
        "class Last(nn.Module):\n    def forward(self, x):\n        return x * float(Path('factor.txt').read_text())\n"
    )
    (tmp_path / "factor.txt").write_text("0.5")
    base = load("from pathlib import Path\n" + GOOD.replace("nn.Dropout(0.5)", "Last()") + last)
    base.materialize(Variant())
    (tmp_path / "factor.txt").write_text("0.6")

    with pytest.raises(ModelError, match=r"other logits than when it was loaded, .* a file that it reads at each call"):
        base.materialize(Variant())


def test_load_own_partial_is_taken_as_the_function_that_it_is(load: Load) -> None:
    renamed = GOOD.replace("def make(", "def build(extra, ")
    source = f"{renamed}import functools\nmake = functools.partial(build, None)\n"

    assert len(load(source).materialize(Variant()).segments) == 1


def test_load_own_has_width_one_only(load: Load) -> None:
    with pytest.raises(ValueError, match=r"expected width 1\.0"):
        load(GOOD).materialize(Variant(width=0.5))


NOISE = "class Last(nn.Module):\n    def forward(self, x):\n        return F.dropout(x)\n"
NAN = "class Last(nn.Module):\n    def forward(self, x):\n        return x * float('nan')\n"
COPIED_NOWHERE = (
    "class Last(nn.Module):\n    def forward(self, x):\n        return x\n"
    "    def __deepcopy__(self, memo):\n        raise TypeError('not me')\n"
)
FIRST = "class First(nn.Module):\n    def forward(self, x):\n        return x.bfloat16()\n"

REFUSED = {
    "raises on import": ("1 / 0\n", r"(?s)^Traceback.*1 / 0.*ZeroDivisionError: division by zero\nThe module '"),
    "does not parse": ("def broken(:\n", r"(?s)SyntaxError.*\nThe module '.*cannot be imported"),
    "imports what is not there": ("import no_such\n", r"(?s)^Traceback.*No module named 'no_such'\nThe module"),
    "exits on import": ("raise SystemExit(3)\n", r"(?s)^Traceback.*cannot be imported from .*SystemExit: 3"),
    "lacks the function": ("def other():\n    pass\n", r"expected a function 'make' .* it has other"),
    "is not a function": ("make = 3\n", r"expected a function 'make'.* it has no functions"),
    "raises": ("def make(n, shape):\n    raise KeyError(n)\n", r"(?s)^Traceback.*in make.*KeyError: 4\nYour network's"),
    "is not a module": ("def make():\n    return 'a network'\n", r"to return a torch.nn.Module, got str"),
    "raises on images": (
        HEADER + "def make():\n    return nn.Linear(7, 4)\n",
        r"(?s)^Traceback.*\nYour network .* raised",
    ),
    "has a wrong shape": (
        HEADER + "def make():\n    return nn.Flatten()\n",
        r"float16 \[4, 4\], got .* \[4, 36\]",
    ),
    "is random in eval mode": (GOOD.replace("nn.Dropout(0.5)", "Last()") + NOISE, r"the same logits for .* dropout"),
    "gives NaN": (GOOD.replace("nn.Dropout(0.5)", "Last()") + NAN, r"finite logits"),
    "cannot be copied": (
        GOOD.replace("nn.Dropout(0.5)", "Last()") + COPIED_NOWHERE,
        r"(?s)^Traceback.*\nYour network .* cannot be copied.*TypeError: not me",
    ),
    "has parameters of bfloat16": (
        GOOD.replace("nn.Dropout(0.5))", "nn.Dropout(0.5)).bfloat16()").replace("nn.Flatten()", "First(), nn.Flatten()")
        + FIRST,
        r"float32, float64 or float16 \[4, 4\], got torch.bfloat16 \[4, 4\]",
    ),
    "has sparse parameters": (
        GOOD.replace("nn.Dropout(0.5)", "Last()")
        + "class Last(nn.Module):\n"
        + "    def __init__(self):\n        super().__init__()\n"
        + "        self.register_buffer('eye', torch.eye(4).to_sparse())\n"
        + "    def forward(self, x):\n        return x\n",
        r"plain tensors with values: '2.eye' is torch.sparse_coo, torch.float32, on the device cpu",
    ),
    "is not initialized": (
        GOOD.replace("nn.Linear(c * h * w, n_classes)", "nn.LazyLinear(n_classes)"),
        r"plain tensors with values: '1.bias' is of UninitializedParameter",
    ),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_load_own_what_cannot_be_a_network_is_refused(load: Load, case: str) -> None:
    source, message = REFUSED[case]
    with pytest.raises(ModelError, match=message) as caught:
        load(source)
    assert "importlib" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("spec", ["module:", ":function", "a/b:make", "pack age:make", "a:b:c"])
def test_load_own_malformed_name_is_refused(spec: str, some_data: Load) -> None:
    with pytest.raises(ModelError, match=r"expected 'package\.module:function'"):
        load_own(spec, some_data())


def test_load_own_module_that_does_not_exist_is_refused(some_data: Load) -> None:
    with pytest.raises(ModelError, match="No module named 'there_is_none'"):
        load_own("there_is_none:make", some_data())
