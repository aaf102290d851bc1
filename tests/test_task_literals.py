"""No module outside tasks/ knows a quality metric by its name: the modules ask the study's task."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "explorer"
NAME = "accuracy"
IN_SCRIPTS = re.compile(rf"""["'`]{NAME}["'`]|\.{NAME}\b""")


def is_named(path: Path) -> bool:
    """Whether the name is a text of its own in the module, docstrings apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Constant) and node.value == NAME for node in ast.walk(tree))


MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] != "tasks"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_names_no_quality_metric(path):
    assert not is_named(path), f"{path}: take the metric from the study's task"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.js")), ids=lambda path: path.name)
def test_script_names_no_quality_metric(path):
    assert not IN_SCRIPTS.search(path.read_text(encoding="utf-8")), f"{path}: take the metric from the page's data"


def test_name_is_found_where_it_stands():
    assert is_named(PACKAGE / "tasks" / "classification.py")
    assert IN_SCRIPTS.search('const y = "accuracy"')
    assert IN_SCRIPTS.search("values.accuracy[row]")
    assert not IN_SCRIPTS.search("derived.testAccuracy(index) // test_accuracy")
