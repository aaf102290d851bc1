"""Bundles: the measured files, the code that was measured with a program that runs it, and the manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from explorer.deploy.export import bundle_model
from explorer.deploy.export.plan import ExportPlan, file_facts
from explorer.deploy.manifest import LIB, MANIFEST, MODEL, SAMPLES, Manifest, with_checksum
from explorer.errors import ExplorerError, UsageError
from explorer.runtimes import staged
from explorer.runtimes.runtime import Runtime, runtime
from explorer.system.disk_errors import DISK_FULL
from explorer.system.files import new_folder, remove_old_siblings
from explorer.tasks.task import Task, task_named

# Every export contains one of these; --force replaces nothing else.
_OURS = (MANIFEST, "model.onnx", "MLmodel", "*/config.pbtxt")


def check_target(path: Path, is_forced: bool) -> None:
    """Raise UsageError when an export cannot be written to `path`."""
    if not os.path.lexists(path):
        return
    if not path.is_dir() or path.is_symlink():
        raise UsageError(f"{path} is there and is not a folder: name another one with -o")
    is_empty = not any(path.iterdir())
    if is_empty or (is_forced and any(next(path.glob(name), None) for name in _OURS)):
        return
    if is_forced:
        raise UsageError(f"{path} is not an earlier export, and --force replaces nothing else: name another with -o")
    raise UsageError(f"{path} is there already: name another folder with -o, or replace it with --force")


@contextmanager
def target_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `path` whole or not at all; remove what a killed export left a day ago.

    Raises UsageError when `path` cannot be written, ExplorerError when the disk is full.
    """
    remove_old_siblings(path)
    try:
        with new_folder(path, is_replacing=True) as draft:
            yield draft
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ExplorerError(
                f"the disk of {path.parent.resolve()} is full; nothing was left there. Free some space, or name "
                "another place with -o"
            ) from error
        raise UsageError(f"{path} cannot be written ({error.strerror}): name another place with -o") from error


_DOCKERFILE = """\
# docker build -t {name} . && docker run --rm -v "$PWD/images:/images:ro" {name} /images
FROM python:{python}-slim
WORKDIR /bundle
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
USER nobody
ENTRYPOINT ["python", "run.py"]
"""


_RUN = '''\
#!/usr/bin/env python3
"""Run the network in this folder.

    python run.py {noun}... [--json]          files or folders of them
    from run import {name}               {name}().run(inputs)

It needs the packages of requirements.txt and nothing else. What is in lib/ is the code that the network was measured
with.
"""

import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).resolve().parent


def part(name):
    """Return the module of that name in lib/, under a name of its own, without a folder of compiled files."""
    path = HERE / "lib" / f"{{name}}.py"
    module = sys.modules[str(path)] = ModuleType(str(path))
    exec(compile(path.read_bytes(), path, "exec"), module.__dict__)
    return module


PARTS = {{name: part(name) for name in ("staged", "loading", "files", "bundle_model")}}


class {name}(PARTS["bundle_model"].BundleModel):
    """The network of this folder, on as many threads as were measured, or on `threads`."""

    def __init__(self, threads=None):
        super().__init__(HERE, PARTS, threads)


if __name__ == "__main__":
    sys.exit(PARTS["bundle_model"].main({name}, PARTS["files"], {nouns}))
'''


def bundle_code(plugin: Runtime, task: Task) -> Mapping[str, bytes]:
    """Return the code of a bundle by path: run.py, and modules of this package byte for byte in lib/."""
    parts = {"staged": staged, "loading": plugin.loading, "files": task.files, "bundle_model": bundle_model}
    run = _RUN.format(name=task.class_name, noun=task.noun[0].upper(), nouns=task.noun)
    modules = {f"{LIB}/{name}.py": Path(str(module.__file__)).read_bytes() for name, module in parts.items()}
    return {"run.py": run.encode(), **modules}


def write_bundle(folder: Path, plan: ExportPlan) -> None:
    """Fill the empty `folder`. Raises OSError."""
    manifest = plan.manifest
    (folder / MODEL).mkdir()
    (folder / LIB).mkdir()
    for name in manifest.files:
        shutil.copyfile(plan.artifact.folder / Path(name).name, folder / name)
    (folder / SAMPLES).write_bytes(plan.samples)
    contents = {
        **bundle_code(runtime(manifest.execution.runtime), task_named(manifest.task.name)),
        "requirements.txt": requirements(manifest).encode(),
        "Dockerfile": _dockerfile(manifest).encode(),
        "README.md": plan.card.encode(),
        "front.svg": plan.picture.encode(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    written = {name: file_facts(folder / name) for name in (*manifest.files, SAMPLES, *contents)}
    whole = manifest.model_copy(update={"files": written})
    text = with_checksum(whole.model_dump_json(indent=1) + "\n")
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def requirements(manifest: Manifest) -> str:
    """Return requirements.txt: NumPy, Pillow and the runtime in the versions of the measurement."""
    needed = {
        "numpy": manifest.provenance.software.get("numpy") or version("numpy"),
        "pillow": version("pillow"),
        **manifest.execution.packages,
    }
    return "".join(f"{name}=={number}\n" for name, number in sorted(needed.items()))


def _dockerfile(manifest: Manifest) -> str:
    python = ".".join(str(manifest.provenance.software["python"]).split(".")[:2])
    return _DOCKERFILE.format(name=manifest.name.lower(), python=python)
