"""The table of faults names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"(tests/[\w/]+\.py)?::(test_\w+)|(tests/[\w/]+\.py)")


def named_tests() -> list[tuple[str, str]]:
    """File and function of every test in the table; a name without a file is of the file before it in its row."""
    found = []
    for row in (ROOT / "tests" / "faults" / "README.md").read_text(encoding="utf-8").splitlines():
        file = ""
        for with_name, name, alone in _NAMED.findall(row if row.startswith("|") else ""):
            file = with_name or alone or file
            found.append((file, name))
    return found


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_table_names_tests_that_exist():
    named = named_tests()
    assert len(named) > 150
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or (name and name not in functions(ROOT / file))
    ]
    assert missing == []
