"""run.py: one file that classifies images, put together from the very source that was measured."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from explorer.deploy import classifier
from explorer.runtimes import staged
from explorer.runtimes.registry import runtime

_CAPTION = '''\
#!/usr/bin/env python3
"""Classify images with the network in this folder.

    python run.py IMAGE... [--json]          image files or folders of them
    from run import Classifier               Classifier().classify(images)

It needs the packages of requirements.txt and nothing else. The staged executor and the functions that load the model
are those that the network was measured with.
"""
'''

_END = '''\
class Classifier(BundleClassifier):
    """The network of this folder."""

    def __init__(self, threads: int | None = None) -> None:
        super().__init__(Path(__file__).resolve().parent, {load}, threads)


if __name__ == "__main__":
    sys.exit(main(Classifier))
'''


def run_file(runtime_name: str) -> str:
    """The text of run.py for a runtime."""
    functions = runtime(runtime_name).loading
    sources = [_body(staged), *(inspect.getsource(function) for function in functions), _body(classifier)]
    parts = [_imports([staged, classifier]), *sources, _END.format(load=functions[0].__name__)]
    type_names = "Segment = Callable[[Array], tuple[Array, ...]]"
    assert type_names in sources[0]  # the loading functions' annotations name it
    return _CAPTION + "\n" + "\n\n".join(part.strip("\n") + "\n" for part in parts)


def _imports(modules: Iterable[ModuleType]) -> str:
    """The imports of the modules, each once, this package's left out; the standard library's first."""
    plain: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in (node for module in modules for node in _tree(module).body):
        if isinstance(node, ast.Import):
            plain |= {ast.unparse(node)}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("explorer."):
            names.setdefault(node.module, set()).update(alias.name for alias in node.names)
    first = f"from __future__ import {', '.join(names.pop('__future__'))}"
    froms = sorted(names, key=str.lower)
    lines = [*sorted(plain), *(f"from {name} import {', '.join(sorted(names[name]))}" for name in froms)]
    standard = [line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    return "\n".join([first, "", *standard, "", *(line for line in lines if line not in standard)])


def _body(module: ModuleType) -> str:
    """The source of the module after its docstring and its imports."""
    nodes = _tree(module).body[1:]
    start = next(node.lineno for node in nodes if not isinstance(node, ast.Import | ast.ImportFrom))
    return "\n".join(_source(module).splitlines()[start - 1 :])


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(_source(module))


def _source(module: ModuleType) -> str:
    assert module.__file__ is not None
    return Path(module.__file__).read_text(encoding="utf-8")
