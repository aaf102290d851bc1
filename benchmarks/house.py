"""The size and the order of the code, counted in its syntax trees, beside what it is held to.

    python benchmarks/house.py [--list]

With --list also what is counted, for each row. Nothing of the package is imported.

Rules of counting. Lines are all lines, blank ones too. A module is *imported by one* when exactly one other module of
the package imports it anywhere. Cycles are strongly connected groups of modules; imports inside functions count, those
for types alone have a row of their own. Parameters are counted without self and cls, and without *args and **kwargs. A
function is public when neither its name nor its class begins with an underscore and it is in no other function; it
states a shape when its docstring has letters in brackets, as [n, c], or the word "shape", and it raises when its own
body does. Names and texts that are no docstrings are searched for images, classes and early exits. Retired words are
searched in the names of modules, classes, functions, parameters and fields.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "explorer"
TASK_ROOMS = ("tasks", "data", "models")  # which may name image, class and early exit
MOST_PARAMETERS = 6

# HOUSE.md, "Words": what stands in their place is there.
RETIRED = """
    kept sound now place worth evidence mirror streak world draws ending misses sealed watch judging
    known_logits child correction queries peak border shown infos wording tally pace steadiness decisions
    departure wish stairs sheet
"""
_SHAPE = re.compile(r"\[[a-z][\w ,+*/.-]*\]|\[\.\.\.|\bshapes?\b")
_RAISES = re.compile(r"\b[Rr]aises?\b")
_TASK_WORDS = re.compile(
    r"(?:^|_)(?:images?|class(?:es)?|n_classes|classifier|classify|classified|classification)(?:_|$)"
    r"|early_exit|exit_(?:threshold|shares?|accurac|latenc|segment)|(?:^|_)n?_?exits(?:_|$)"
)
_TASK_TEXT = re.compile(r"\b(?:images?|class(?:es)?|early exits?)\b|" + _TASK_WORDS.pattern)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A module: its dotted name, its path below the repository, its tree and lines, and what it imports, by kind."""

    name: str
    path: Path
    tree: ast.Module
    n_lines: int
    is_package: bool
    imports: Mapping[str, frozenset[str]]  # "top", "deferred", "types"


@dataclass(frozen=True)
class Row:
    """A count and what it may be at most; `offenders` are what was counted, in words."""

    title: str
    now: float
    most: float
    offenders: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.now <= self.most


def modules(root: Path = ROOT) -> dict[str, Module]:
    """Every module of the package, by name."""
    paths = {_name(root, path): path for path in sorted((root / PACKAGE).rglob("*.py"))}
    found = {}
    for name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        imports: dict[str, set[str]] = {"top": set(), "deferred": set(), "types": set()}
        for kind, imported in _imports(tree, "top"):
            imports[kind] |= {one for one in _resolved(imported, paths) if one != name}
        kinds = {kind: frozenset(names) for kind, names in imports.items()}
        n_lines = len(text.splitlines())
        found[name] = Module(name, path.relative_to(root), tree, n_lines, path.name == "__init__.py", kinds)
    return found


def _name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(node: ast.AST, kind: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each import below `node`: its kind, and the dotted names that it may mean, the longest first."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((kind, (alias.name,)) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from ((kind, (f"{child.module}.{alias.name}", child.module)) for alias in child.names)
        elif isinstance(child, Function | ast.Lambda):
            yield from _imports(child, "deferred" if kind == "top" else kind)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _imports(ast.Module([part], []), "types")
            for part in child.orelse:
                yield from _imports(ast.Module([part], []), kind)
        else:
            yield from _imports(child, kind)


def _resolved(names: tuple[str, ...], known: Mapping[str, Path]) -> set[str]:
    return {next(name for name in names if name in known)} if any(name in known for name in names) else set()


def rows(root: Path = ROOT) -> list[Row]:
    """Every row of the table."""
    found = modules(root)
    n_files, n_lines = len(found), sum(module.n_lines for module in found.values())
    folders = Counter(str(module.path.parent) for module in found.values() if not module.is_package)
    importers: dict[str, set[str]] = defaultdict(set)
    for module in found.values():
        for names in module.imports.values():
            for name in names:
                importers[name].add(module.name)
    lone = [name for name, module in found.items() if len(importers[name]) == 1 and not module.is_package]
    sizes = tuple(f"{n} {name}" for name, n in folders.most_common(5))
    by_one = tuple(f"{name} by {min(importers[name])}" for name in lone)
    counted = {
        "functions of more than 6 parameters": (4, _many_parameters),
        "public functions with arrays that state no shape": (0, _without_shape),
        "public functions that raise and do not say so": (0, _silent_raises),
        "files outside tasks/, data/, models/ that name image, class or early exit": (25, _task_words),
        "retired words as names": (0, _retired),
    }
    arrays = _array_names(found)
    cycles, typed = _cycles(found, ("top", "deferred")), _cycles(found, ("top", "deferred", "types"))
    table = [
        Row("Python files", n_files, 220),
        Row("modules that exactly one other imports", len(lone), 40, by_one),
        Row("lines of Python", n_lines, 28_000),
        Row("files per 1,000 lines", round(1000 * n_files / n_lines, 1), 7.5),
        Row("modules in the largest folder", max(folders.values()), 25, sizes),
        Row("import cycles, deferred imports counted", len(cycles), 0, cycles),
        Row("import cycles, imports for types counted too", len(typed), 0, typed),
    ]
    for title, (most, count) in counted.items():
        offenders = tuple(one for module in found.values() for one in count(module, arrays))
        table.append(Row(title, len(offenders), most, offenders))
    return table


def _cycles(found: Mapping[str, Module], kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The strongly connected groups of more than one module (Tarjan 1972), in words."""
    edges = {name: sorted(set().union(*(module.imports[kind] for kind in kinds))) for name, module in found.items()}
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[str] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in edges[name]:
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                groups.append(" ↔ ".join(sorted(group)))

    for name in edges:
        if name not in order:
            visit(name)
    return tuple(groups)


def _functions(module: Module, is_public: bool = False) -> Iterator[tuple[str, Function]]:
    """Each function, with its name for people; with `is_public` those that others may call, in no function."""

    def below(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                path = (*names, child.name)
                if not (is_public and any(name.startswith("_") for name in path)):
                    yield f"{module.path}:{child.lineno} {'.'.join(path)}", child
                if not is_public:
                    yield from below(child, path)
            elif isinstance(child, ast.ClassDef):
                yield from below(child, (*names, child.name))
            elif isinstance(child, ast.If | ast.Try | ast.With):
                yield from below(child, names)

    yield from below(module.tree, ())


def _many_parameters(module: Module, arrays: frozenset[str]) -> Iterator[str]:
    for name, function in _functions(module):
        n = len([one for one in _parameters(function) if one.arg not in ("self", "cls")])
        if n > MOST_PARAMETERS:
            yield f"{name} ({n})"


def _parameters(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _array_names(found: Mapping[str, Module]) -> frozenset[str]:
    """NDArray, and the names that modules give to types made of it."""
    names = {"NDArray", "ndarray"}
    for module in found.values():
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and _mentions(node.value, names):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(names)


def _mentions(node: ast.AST | None, names: set[str] | frozenset[str]) -> bool:
    found = () if node is None else ast.walk(node)
    return any(
        (isinstance(one, ast.Name) and one.id in names) or (isinstance(one, ast.Attribute) and one.attr in names)
        for one in found
    )


def _without_shape(module: Module, arrays: frozenset[str]) -> Iterator[str]:
    for name, function in _functions(module, is_public=True):
        annotations = [function.returns, *(one.annotation for one in _parameters(function))]
        if any(_mentions(one, arrays) for one in annotations) and not _SHAPE.search(ast.get_docstring(function) or ""):
            yield name


def _silent_raises(module: Module, arrays: frozenset[str]) -> Iterator[str]:
    for name, function in _functions(module, is_public=True):
        if _raises(function) and not _RAISES.search(ast.get_docstring(function) or ""):
            yield name


def _raises(function: Function) -> bool:
    """Whether the function's own body raises something new."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise) and node.exc is not None:
            return True
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return False


def _task_words(module: Module, arrays: frozenset[str]) -> Iterator[str]:
    if module.path.parts[1] in TASK_ROOMS:
        return
    words = [name for name in _names(module.tree) if _TASK_WORDS.search(name)]
    words += [text for text in _texts(module.tree) if _TASK_TEXT.search(text)]
    if words:
        shown = ", ".join(dict.fromkeys(" ".join(word.split())[:40] for word in words[:4]))
        yield f"{module.path} ({len(words)}): {shown}"


def _names(tree: ast.Module) -> Iterator[str]:
    """Every name in the code, in snake case."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value).lower()


def _texts(tree: ast.Module) -> Iterator[str]:
    """Every text that is no docstring."""
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value.replace("/sys/class/", "/sys/")


def _retired(module: Module, arrays: frozenset[str]) -> Iterator[str]:
    if _is_retired(module.path.stem):
        yield f"{module.path} (module)"
    for node in ast.walk(module.tree):
        if isinstance(node, Function | ast.ClassDef) and _is_retired(node.name):
            yield f"{module.path}:{node.lineno} {node.name}"
        elif isinstance(node, ast.arg) and _is_retired(node.arg):
            yield f"{module.path}:{node.lineno} {node.arg} (parameter)"
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and _is_retired(node.target.id):
            yield f"{module.path}:{node.lineno} {node.target.id}"


def _is_retired(name: str) -> bool:
    return name.strip("_").lower() in RETIRED.split()


def main() -> None:
    parser = argparse.ArgumentParser(description="The size and the order of the code, beside what it is held to.")
    parser.add_argument("--list", action="store_true", help="what is counted, for each row")
    is_listing = parser.parse_args().list
    table = rows()
    width = max(len(row.title) for row in table)
    print(f"{'':{width}}  {'now':>8}  {'at most':>8}")
    for row in table:
        print(f"{row.title:{width}}  {row.now:>8,}  {row.most:>8,}  {'' if row.holds else 'over'}".rstrip())
        if is_listing:
            print("".join(f"    {one}\n" for one in row.offenders), end="")


if __name__ == "__main__":
    main()
