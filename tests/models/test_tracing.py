"""Networks of the user's own are known by their content: each kind of change changes it, and nothing else does."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from explorer.models.base import BaseNetwork
from explorer.models.identity import difference
from explorer.models.own import load_own
from explorer.typed_json import to_json

Load = Callable[..., BaseNetwork]

HEADER = """\
import functools, itertools, json, random, time
from pathlib import Path
import torch
from torch import nn
from torch.nn import functional as F
HERE = Path(__file__).parent
"""
# A network whose parts are replaced: {init} and {forward} by the case, its function by nothing.
NETWORK = (
    HEADER
    + """
{before}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.head = nn.Linear(8, 4)
{init}
    def forward(self, x):
        x = self.conv(x).relu().mean((2, 3))
{forward}
        return self.head(x)
def make(n_classes, image_shape):
    torch.manual_seed(0)
    return Net()
"""
)
_names = itertools.count()


def network(init: str = "", forward: str = "", before: str = "") -> str:
    indented = ["\n".join(f"        {line}" for line in text.splitlines()) for text in (init, forward)]
    return NETWORK.format(init=indented[0], forward=indented[1], before=before)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some_data: Load) -> Load:
    """Write a module and the files beside it, `helper.py` under a name of its own, and load its `make`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_and_load(source: str, **files: str) -> BaseNetwork:
        number = next(_names)
        for name, text in files.items():
            (tmp_path / f"{name}_{number}").with_suffix(".py" if name == "helper" else ".json").write_text(text)
        (tmp_path / f"traced_{number}.py").write_text(source.replace("NUMBER", str(number)))
        return load_own(f"traced_{number}:make", some_data())

    return write_and_load


HELPED = network(before="from helper_NUMBER import turned", forward="x = turned(x)")
READ = network(
    before="FACTOR = json.loads((HERE / 'facts_NUMBER.json').read_text())['factor']", forward="x = x * FACTOR"
)
TWO_LAYERS = "self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)\nself.b.load_state_dict(self.a.state_dict())\n"
TIED = f"{TWO_LAYERS}self.b.weight = self.a.weight\n"
SIGN = """
class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return {forward}
    @staticmethod
    def backward(ctx, grad):
        return {backward}
"""
SIGNED = "x = Sign.apply(x)"

# What is before, what is after, and a word of what is said of it.
CHANGED = {
    "a helper's code": (
        (HELPED, {"helper": "def turned(x):\n    return x\n"}),
        (HELPED, {"helper": "def turned(x):\n    return x.flip(1)\n"}),
        "the graph differs at operation",
    ),
    "a number in a JSON file": (
        (READ, {"facts": '{"factor": 0.5}'}),
        (READ, {"facts": '{"factor": 0.5000000000000001}'}),
        "0.5) -> ",
    ),
    "a float attribute": (
        (network("self.factor = 0.5", "x = x * self.factor"), {}),
        (network("self.factor = 0.7", "x = x * self.factor"), {}),
        "0.5) -> ",
    ),
    "a lambda": (
        (network("self.act = lambda x: x.relu()", "x = self.act(x)"), {}),
        (network("self.act = lambda x: x.tanh()", "x = self.act(x)"), {}),
        "aten.relu.default(",
    ),
    "a buffer that is not persistent": (
        (network("self.register_buffer('shift', torch.ones(8), persistent=False)", "x = x + self.shift"), {}),
        (network("self.register_buffer('shift', torch.zeros(8), persistent=False)", "x = x + self.shift"), {}),
        "shift differs",
    ),
    "a tensor attribute": (
        (network("self.shift = torch.ones(8)", "x = x + self.shift"), {}),
        (network("self.shift = torch.zeros(8)", "x = x + self.shift"), {}),
        "shift differs",
    ),
    "a tensor in a list": (
        (network("self.shifts = [torch.ones(8)]", "x = x + self.shifts[0]"), {}),
        (network("self.shifts = [torch.zeros(8)]", "x = x + self.shifts[0]"), {}),
        "the graph differs at operation",
    ),
    "a tensor in the code": (
        (network(forward="x = x * torch.tensor([2.0])"), {}),
        (network(forward="x = x * torch.tensor([3.0])"), {}),
        "constant([2.0]",
    ),
    "a weight": (
        (network(), {}),
        (network(init="with torch.no_grad(): self.conv.weight[0, 0, 0, 0] += 1e-6"), {}),
        "conv.weight differs",
    ),
    "the order of a weight's values in memory": (
        (network("self.c = nn.Conv2d(8, 8, 3)"), {}),
        (network("self.c = nn.Conv2d(8, 8, 3).to(memory_format=torch.channels_last)"), {}),
        "is a parameter float32[8, 8, 3, 3] with strides [72, 1, 24, 8]",
    ),
    "a parameter that is frozen": (
        (network(), {}),
        (network(init="self.conv.requires_grad_(False)"), {}),
        "conv.bias was a parameter float32[8] and is a frozen parameter",
    ),
    "copies that are tied": (
        (network(TWO_LAYERS, "x = self.b(self.a(x))"), {}),
        (network(TIED, "x = self.b(self.a(x))"), {}),
        "b.weight had its own memory, and now shares its memory with a.weight",
    ),
    "one module for two": (
        (network(TWO_LAYERS, "x = self.b(self.a(x))"), {}),
        (network(f"{TWO_LAYERS}self.b = self.a\n", "x = self.b(self.a(x))"), {}),
        "b.weight had its own memory",
    ),
    "a layer that does not say what it is": (
        (network("self.c = nn.Linear(8, 8)", "x = self.c(x)"), {}),
        (
            network(
                "self.c = nn.Module()\n"
                "linear = nn.Linear(8, 8)\n"
                "self.c.weight, self.c.bias = linear.weight, linear.bias",
                "x = F.linear(x, self.c.weight, self.c.bias)",
            ),
            {},
        ),
        "c was Linear and is no layer of PyTorch",
    ),
    "dropout": (
        (network("self.drop = nn.Dropout(0.1)", "x = self.drop(x)"), {}),
        (network("self.drop = nn.Dropout(0.2)", "x = self.drop(x)"), {}),
        "0.1",
    ),
    "what it does in training alone": (
        (network(forward="x = x + 1 if self.training else x"), {}),
        (network(forward="x = x + 2 if self.training else x"), {}),
        "the graph in training mode differs",
    ),
    "a number that only an untraceable training uses": (
        (network("self.p = 0.1", "x = x * 2 if self.training and torch.rand(1) < self.p else x"), {}),
        (network("self.p = 0.2", "x = x * 2 if self.training and torch.rand(1) < self.p else x"), {}),
        "the graph in training mode differs",
    ),
    "a function with a gradient of its own": (
        (network(before=SIGN.format(forward="x.sign()", backward="grad"), forward=SIGNED), {}),
        (network(before=SIGN.format(forward="x.tanh()", backward="grad"), forward=SIGNED), {}),
        "aten.sign.default",
    ),
    "the gradient of such a function": (
        (network(before=SIGN.format(forward="x.sign()", backward="grad"), forward=SIGNED), {}),
        (network(before=SIGN.format(forward="x.sign()", backward="2 * grad"), forward=SIGNED), {}),
        "the graph in training mode differs",
    ),
    "what runs without gradients": (
        (network(forward="with torch.no_grad():\n    x = x * 2"), {}),
        (network(forward="with torch.no_grad():\n    x = x * 3"), {}),
        "differs at operation",
    ),
    "what runs in an autocast block": (
        (network(forward="with torch.autocast('cpu', enabled=False):\n    x = x * 2"), {}),
        (network(forward="with torch.autocast('cpu', enabled=False):\n    x = x * 3"), {}),
        "the graph differs at operation",
    ),
}


@pytest.mark.parametrize("case", sorted(CHANGED))
def test_changed_network_has_another_fingerprint_and_the_change_is_named(load: Load, case: str):
    (before, files_before), (after, files_after), words = CHANGED[case]
    old, new = load(before, **files_before), load(after, **files_after)

    assert old.fingerprint != new.fingerprint
    assert "unknown" not in {*old.card, *new.card}
    assert words in "; ".join(difference(old.description, new.description))


BY_NAME = """
for name in {order}:
    torch.manual_seed(len(name))
    self.add_module(name, nn.Linear(8, 8))
"""
IN_ORDER = "x = self.one(x) + self.three(x) + self.seventh(x)"
SHOWN = """
class EffectiveValues(nn.Module):
    def forward(self, x):
        return x
    def extra_repr(self):
        return f"{object()} {time.time_ns()} {random.random()} { {'a', 'b', 'c'} }"
"""

SAME = {
    "a comment": (network(), network().replace("def make", "# a comment\ndef make")),
    "another name of its class": (network(), network().replace("Net", "Other")),
    "a repr that differs each time": (network("self.s = EffectiveValues()", "x = self.s(x)", SHOWN),) * 2,
    "attributes that differ each time": (network("self.made, self.key = time.time_ns(), object()"),) * 2,
    "another order of its modules": (
        network(BY_NAME.format(order=["one", "three", "seventh"]), IN_ORDER),
        network(BY_NAME.format(order=["seventh", "one", "three"]), IN_ORDER),
    ),
    "a tie that is written the other way": (
        network(TIED, "x = self.b(self.a(x))"),
        network(f"{TWO_LAYERS}self.a.weight = self.b.weight\n", "x = self.b(self.a(x))"),
    ),
    "random numbers of Python in training": (network(forward="x = x + random.random() if self.training else x"),) * 2,
    "a module without parameters of another name": (
        network("self.act = nn.ReLU()", "x = self.act(x)"),
        network("self.relu = nn.ReLU()", "x = self.relu(x)"),
    ),
    "a file beside it that nothing reads": (network(), network()),
}


@pytest.mark.parametrize("case", sorted(SAME))
def test_network_that_is_the_same_has_the_same_fingerprint(load: Load, case: str):
    one, other = (load(source, facts='{"unused": true}') for source in SAME[case])

    assert difference(one.description, other.description) == []
    assert one.fingerprint == other.fingerprint


UNTRACEABLE = {
    "data decide": (network(forward="x = x * 0.5 if x.abs().mean() > 0.9 else x"), r"at traced_\d+\.py:17 "),
    "an operator that is not of PyTorch": (
        network(
            before=(
                "@torch.library.custom_op('mine::half_NUMBER', mutates_args=())\n"
                "def half(x: torch.Tensor) -> torch.Tensor:\n"
                "    return x * 0.5\n"
                "half.register_fake(torch.empty_like)\n"
            ),
            forward="x = half(x)",
        ),
        r"it calls mine\.half_\d+\.default, an operator that is not of PyTorch",
    ),
}


@pytest.mark.parametrize("case", sorted(UNTRACEABLE))
def test_network_that_cannot_be_traced_equals_no_other_and_names_the_reason(load: Load, case: str):
    source, words = UNTRACEABLE[case]
    one, other = load(source), load(source)

    assert one.fingerprint != other.fingerprint
    assert re.search(words, one.card["unknown"])
    assert "nothing shows that it is the same" in difference(one.description, other.description)[0]


def test_description_does_not_depend_on_the_process(load: Load, tmp_path: Path):
    source = network(f"{TIED}self.s = EffectiveValues()", "x = self.s(self.b(self.a(x)))", SHOWN)
    base = load(source)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "same.py").write_text(source)
    code = (
        "import json, numpy as np; from explorer.models.own import load_own; "
        "from explorer.models.base import TrainingData; from explorer.typed_json import to_json; "
        "images, labels = np.zeros((4, 1, 6, 6), np.uint8), np.arange(4); "
        "base = load_own('same:make', TrainingData(images, labels, images, labels, 4, (100.0,), (50.0,), '', '')); "
        "print(json.dumps([base.fingerprint, to_json(base.description)]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == [base.fingerprint, json.loads(json.dumps(to_json(base.description)))]


def test_description_names_are_those_of_the_user_and_leave_random_numbers_alone(load: Load):
    torch.manual_seed(3)
    expected = torch.rand(3)
    source = network().replace("    torch.manual_seed(0)\n", "").replace("return Net()", "net = Net()\n    return net")
    torch.manual_seed(3)
    description = load(source.replace("net = Net()", "with torch.random.fork_rng(): net = Net()")).description

    assert {"conv.weight", "conv.bias", "head.weight", "head.bias"} <= description.tensors.keys()
    assert description.layers == {"conv": "Conv2d", "head": "Linear"}
    assert {step.module for step in description.graph} >= {"conv", "head", ""}
    assert torch.equal(torch.rand(3), expected)
