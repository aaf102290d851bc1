"""The direction of imports: data flow one way, and every library has one home."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "explorer"

LEVELS = [
    {"__main__", "__init__"},
    {"cli", "api"},
    {"commands"},
    {"views", "deploy"},
    {"web"},
    {"study"},
    {"measure", "build"},
    {"runtimes"},
    {"models"},
    {"data"},
    {"space"},
    {"tasks"},
    {"pareto", "system"},
    {"intervals"},
    {"records"},
    {"parameters"},
    {"observation"},
    {"metrics"},
    {"errors", "version", "typed_json"},
]
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names}

HOMES = {
    "optuna": {"study"},
    "sqlalchemy": {"study"},
    "pandas": {"api"},
    "plotly": {"views", "api"},
    "starlette": {"web", "views/server", "deploy/serve"},
    "uvicorn": {"web", "views/server", "deploy/serve"},
    "jinja2": {"views"},
    "onnx": {"runtimes"},
    "onnxruntime": {"runtimes"},
    "onnxscript": {"runtimes"},
    "ruamel": {"space"},
    "pydantic": {"space", "deploy", "typed_json"},
    "pydantic_core": {"space", "study/search", "study/store", "typed_json"},
    "mlflow": {"deploy"},
    "moocore": {"pareto"},
    "torch": {"models", "build", "runtimes", "tasks"},
    "torchvision": {"data"},
    "sklearn": {"data"},
    "torch_pruning": {"build"},
    "torchao": {"runtimes"},
    "typer": {"cli", "commands/options"},
    "zeus": {"measure"},
}

# The Gaussian-process sampler is Optuna's own use of torch, in the one coordinator that may load it.
EXCEPTIONS = {("study/search/optuna_sampler.py", "torch")}

FILES = sorted(PACKAGE.rglob("*.py"))


def is_home(path: Path, home: str) -> bool:
    """Whether the module lies in that room, or in that folder of a room."""
    return f"{path.relative_to(PACKAGE).with_suffix('')}/".startswith(f"{home}/")


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "explorer":
                yield from (f"explorer.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_imports_only_from_its_own_room_or_below(path):
    here = room(path)
    for name in imports(path):
        if not name.startswith("explorer."):
            continue
        there = name.split(".")[1]
        if there == here:
            continue
        assert there in LEVEL_OF, f"{path}: {name} is in no room"
        assert LEVEL_OF[there] > LEVEL_OF[here], f"{here} must not import {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_libraries_are_at_home(path):
    for name in imports(path):
        library = name.split(".")[0]
        if library in HOMES and (str(path.relative_to(PACKAGE)), library) not in EXCEPTIONS:
            at_home = any(is_home(path, home) for home in HOMES[library])
            assert at_home, f"{path}: {library} belongs in {HOMES[library]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_module_begins_with_its_caption(path):
    caption = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
    assert caption
    assert caption[0].endswith(".")


def test_rooms_are_all_known():
    assert {room(path) for path in FILES} <= set(LEVEL_OF)
