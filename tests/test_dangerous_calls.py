"""What the package's own source never does: nothing that runs what a file or a text says, and no shell.

`ast` sees names, not values: it finds what somebody writes by habit, and not what somebody hides.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "explorer"
FILES = sorted(PACKAGE.rglob("*.py"))

BUILTINS = {"eval", "exec", "compile", "__import__"}
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "runpy",
    "code",
    "yaml",
}
NAMES = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("asyncio.create_subprocess_shell", "tempfile.mktemp", "importlib.import_module"),
    *("torch.load", "torch.export.load", "torch.jit.load", "torch.hub.load", "torch.package.PackageImporter"),
}
METHODS = {"read_pickle", "to_pickle", "enable_load_extension"}
# An argument that must be this very constant, wherever it is given.
CONSTANTS = {"shell": False, "allow_pickle": False, "weights_only": True}
YAML_TYPES = {"rt", "safe"}

# What is needed, where, and why it is safe there.
JUSTIFIED = {
    ("system/plugins.py", "importlib.import_module"): "modules of registries and of installed packages' entry points",
    ("models/own.py", "importlib.import_module"): "the network that the user named; explorer.commands.start says so",
    ("metrics.py", "importlib.import_module"): "a module named in that file",
    ("parameters.py", "importlib.import_module"): "modules named in that file",
    ("measure/probe.py", "importlib.import_module"): "modules named by a registered runtime",
    (
        "runtimes/eager_loading.py",
        "torch.export.load",
    ): "explorer.runtimes.untrusted.pt2_program has looked at what others may have made",
}


def imported(tree: ast.Module) -> dict[str, str]:
    """What each name that an import binds stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.AST, names: dict[str, str]) -> str:
    """The full name that an expression stands for; empty for anything but names and their attributes."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (inner := dotted(node.value, names)):
        return f"{inner}.{node.attr}"
    return ""


def dangers(source: str) -> Iterator[str]:
    """Everything in the source that is forbidden, by its name."""
    tree = ast.parse(source)
    names = imported(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import {name}" for name in modules if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.attr
        elif isinstance(node, ast.Call):
            yield from (f"{k.arg}=" for k in node.keywords if k.arg in CONSTANTS and not is_constant(k))
            if dotted(node.func, names).endswith("YAML"):
                kinds = [ast.literal_eval(k.value) for k in node.keywords if k.arg == "typ"]
                yield from (f"YAML(typ={kind!r})" for kind in kinds if kind not in YAML_TYPES)
        if isinstance(node, ast.Name | ast.Attribute) and (name := dotted(node, names)) in NAMES:
            is_safe_load = name == "torch.load" and _is_weights_only(tree, node)
            yield from [] if is_safe_load else [name]


def is_constant(keyword: ast.keyword) -> bool:
    """Whether the argument is the constant that it must be."""
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is CONSTANTS[str(keyword.arg)]


def _is_weights_only(tree: ast.Module, function: ast.AST) -> bool:
    """Whether that function is called here, with weights_only=True."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.func is function)
    return any(k.arg == "weights_only" and is_constant(k) for call in calls for k in call.keywords)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_runs_nothing_that_a_file_or_a_text_says(path):
    here = str(path.relative_to(PACKAGE))
    found = {name for name in dangers(path.read_text(encoding="utf-8")) if (here, name) not in JUSTIFIED}
    assert not found, f"{here}: {', '.join(sorted(found))}"


def test_what_is_justified_is_still_there():
    for here, name in JUSTIFIED:
        assert name in set(dangers((PACKAGE / here).read_text(encoding="utf-8"))), (here, name)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import shelve as s",
        "from marshal import loads",
        "def f():\n    import dill.source",
        "eval('1')",
        "run = exec",
        "compile('1', '', 'eval')",
        "import os\nos.system('ls')",
        "from os import popen as p\np('ls')",
        "import subprocess as s\ns.run('ls', shell=True)",
        "import subprocess as s\ns.run('ls', shell=is_shell)",
        "import subprocess\nsubprocess.getoutput('ls')",
        "import asyncio\nasyncio.create_subprocess_shell('ls')",
        "import yaml\nyaml.load(text)",
        "from ruamel.yaml import YAML\nYAML(typ='unsafe')",
        "import torch\ntorch.load(file)",
        "from torch import load\nload(file, weights_only=False)",
        "import torch\ntorch.export.load(file)",
        "import numpy as np\nnp.load(file, allow_pickle=True)",
        "import pandas as pd\npd.read_pickle(file)",
        "import tempfile\ntempfile.mktemp()",
        "from importlib import import_module\nimport_module(name)",
    ],
)
def test_dangers_forbidden_is_found(source):
    assert list(dangers(source))


@pytest.mark.parametrize(
    "source",
    [
        "import re\nre.compile('x')",
        "network.eval()",
        "import pickletools",
        "import torch\ntorch.load(file, weights_only=True)",
        "import numpy as np\nnp.load(file)\nnp.load(file, allow_pickle=False)",
        "import subprocess\nsubprocess.run(['ls'], shell=False)",
        "from ruamel.yaml import YAML\nYAML(typ='safe')\nYAML()",
        "import json\njson.load(file)",
    ],
)
def test_dangers_harmless_is_not_found(source):
    assert not list(dangers(source))
