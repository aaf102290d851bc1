"""Reading of an untrusted bundle: everything is checked before any of it is loaded, and no link is followed."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from explorer.deploy.manifest import (
    LIB,
    MANIFEST,
    MODEL,
    SAMPLES,
    FileFacts,
    Manifest,
    check_task,
    first_error,
    has_its_checksum,
    require_plugins,
)
from explorer.deploy.verify.consistency import check_artifact
from explorer.errors import RuntimeNotAvailable, UsageError, VerificationFailed
from explorer.records import Variant
from explorer.runtimes.artifact import FILE_NAME, Artifact
from explorer.runtimes.runtime import Runtime, runtime
from explorer.runtimes.staged import StagedExecutor
from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.study.store.validation import strict_object
from explorer.tasks.task import Facts, Task, task_named

MAX_JSON_BYTES = 4 * 2**20
MAX_BUNDLE_BYTES = 4 * 2**30
MAX_FILE_BYTES = 2**31 - 1
"""The largest message of protocol buffers, and so the largest ONNX file."""

_ARTIFACT = f"{MODEL}/{FILE_NAME}"
_PARTS = tuple(f"{LIB}/{name}.py" for name in ("bundle_model", "files", "loading", "staged"))
_ALWAYS = (_ARTIFACT, SAMPLES, "run.py", *_PARTS, "requirements.txt", "Dockerfile", "README.md", "front.svg")
_SEGMENT = re.compile(rf"{MODEL}/segment_\d{{1,3}}\.\w{{1,20}}", re.ASCII)
_CACHES = ("__pycache__", f"{LIB}/__pycache__")
_CACHE = re.compile(
    rf"(__pycache__/run|{LIB}/__pycache__/(bundle_model|files|loading|staged))\.cpython-\d{{1,4}}(\.opt-[12])?\.pyc"
)
_OTHER_FORMATS = {"MLmodel": "mlflow", "*/config.pbtxt": "triton", "model.onnx": "onnx"}
"""What only an export of another format has, with its name."""
_MAX_ENTRIES = 1000
# Without O_NONBLOCK, opening a named pipe would block until a process writes to it.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were those of its manifest, and safe to load, when it was read.

    `caches` are files that Python itself writes beside the code that it imports: they are neither read nor copied.
    """

    folder: Path
    manifest: Manifest
    caches: tuple[str, ...] = ()

    @property
    def task(self) -> Task:
        """What is asked of its model."""
        return task_named(self.manifest.task.name)

    @property
    def facts(self) -> Facts:
        """The facts of its task."""
        return self.manifest.task.facts

    @property
    def variant(self) -> Variant:
        """The measured variant."""
        return self.manifest.variant

    @property
    def runtime(self) -> Runtime:
        """The runtime of its model."""
        return runtime(self.manifest.execution.runtime)

    @property
    def tolerance(self) -> float:
        """The runtime's tolerance of outputs, relative to the largest; the manifest's is not trusted."""
        return self.runtime.tolerance(self.manifest.execution.quantization)

    @property
    def batch_size(self) -> int:
        """How many examples depend on each other: 1 where the others of a batch change no output."""
        return 1 if self.manifest.execution.is_batch_invariant else self.manifest.variant["batch_size"]

    @property
    def artifact(self) -> Artifact:
        """Its model. Raises OSError, ValueError when it does not exist any more."""
        return Artifact.read(self.folder / MODEL)

    @property
    def mega_macs(self) -> NDArray[np.float64]:
        """The multiply-accumulates [e] of an example up to each exit, in millions, as artifact.json has them."""
        return np.cumsum([segment.mega_macs for segment in self.artifact.facts.segments])

    def executor(self, threads: int | None = None) -> StagedExecutor:
        """Load the model, with as many threads as were measured unless `threads` is given.

        Raises whatever the runtime raises for a model that it cannot load.
        """
        return self.artifact.load(threads or self.manifest.execution.threads, self.variant, self.task.name)


def read_bundle(folder: Path) -> Bundle:
    """Return the bundle in `folder`; nothing of it is loaded or executed.

    Every file of the manifest is a regular file in this folder alone, with its size and SHA-256, and there is no other
    but Python's caches of the bundle's code; the model agrees with the manifest, and loading it reads no other file and
    runs no code of its own. Raises UsageError when it is not a folder or an export of another format, NotAvailable for
    a task or a runtime that is not registered or not installed here, VerificationFailed, with the file's name, for
    anything else.
    """
    with PlainFolder(folder) as plain:
        names = plain.names()
        if MANIFEST not in names:
            _refuse_other_formats(folder)
        manifest = read_manifest(plain.read(MANIFEST, MAX_JSON_BYTES))
        caches = tuple(name for name in names if _CACHE.fullmatch(name))
        _check_names(manifest.files, set(names).difference(caches))
        _check_sizes(manifest, plain)
        for name in caches:
            plain.size(name)
        check_artifact(strict_object(_ARTIFACT, plain.read_known(_ARTIFACT, manifest.files[_ARTIFACT])), manifest)
        for name, facts in manifest.files.items():
            plain.read_known(name, facts)
        if why := runtime(manifest.execution.runtime).missing():
            raise RuntimeNotAvailable(
                f"the bundle's files are those of its manifest, and its model cannot be executed here: {why}"
            )
        for name in filter(_SEGMENT.fullmatch, manifest.files):
            _check_model(name, plain.read_known(name, manifest.files[name]), manifest.execution.runtime)
    return Bundle(folder, manifest, caches)


def copy_bundle(bundle: Bundle, target: Path) -> Bundle:
    """Copy the bundle to the new folder `target`, and check it again there, so that only checked files are loaded.

    Raises VerificationFailed when it changed since it was read, OSError.
    """
    for folder in (LIB, MODEL):
        (target / folder).mkdir(parents=True)
    with PlainFolder(bundle.folder) as plain:
        (target / MANIFEST).write_bytes(plain.read(MANIFEST, MAX_JSON_BYTES))
        for name, facts in bundle.manifest.files.items():
            (target / name).write_bytes(plain.read_known(name, facts))
    copied = read_bundle(target)
    if copied.manifest != bundle.manifest:
        raise VerificationFailed(f"{MANIFEST} changed while the bundle was read: try again")
    return replace(copied, caches=bundle.caches)


def read_manifest(content: bytes) -> Manifest:
    """Return the manifest in these bytes.

    Raises VerificationFailed with the first invalid field, NotAvailable for a task or runtime that is not registered.
    """
    facts, is_whole = strict_object(MANIFEST, content), has_its_checksum(content)
    if is_whole:
        require_plugins(facts)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        field, message = first_error(error)
        raise VerificationFailed(f"{MANIFEST} is not valid: {field[:200]!r}: {message}") from error  # untrusted
    if not is_whole:
        raise VerificationFailed(f"{MANIFEST} is not as it was written: its seal does not fit its content")
    try:
        check_task(manifest)
    except ValueError as error:
        raise VerificationFailed(f"{MANIFEST} is not valid: {error}") from error
    return manifest


def _refuse_other_formats(folder: Path) -> None:
    """Raise UsageError for a folder that `explore export` wrote in a format that has no manifest."""
    for pattern, form in _OTHER_FORMATS.items():
        if next(folder.glob(pattern), None) is not None:
            raise UsageError(
                f"expected a bundle at {folder}, got an export of the format {form}, which has no {MANIFEST} with "
                "anything to compare: export the trial with --format bundle, and name that folder"
            )


def _check_names(stated: Iterable[str], found: Iterable[str]) -> None:
    """Check that both lists of files are those of a bundle, and equal."""
    known, present = set(stated), set(found) - {MANIFEST}
    for name in sorted(known):
        if name not in _ALWAYS and not _SEGMENT.fullmatch(name):
            raise VerificationFailed(f"{MANIFEST} lists {name[:200]!r}, which is no file of a bundle")
    if missing := sorted({*known, *_ALWAYS} - present):
        raise VerificationFailed(f"{missing[0]} is missing")
    if surplus := sorted(present - known):
        raise VerificationFailed(f"{surplus[0]!r} is in the folder, and not in {MANIFEST}: a bundle has nothing else")


def _check_sizes(manifest: Manifest, plain: PlainFolder) -> None:
    """Check sizes before any file is read."""
    total = sum(facts.bytes for facts in manifest.files.values())
    if total > MAX_BUNDLE_BYTES:
        raise VerificationFailed(f"{MANIFEST} states {total:,} bytes of files: at most {MAX_BUNDLE_BYTES:,} are read")
    for name, facts in manifest.files.items():
        size, limit = plain.size(name), MAX_JSON_BYTES if name == _ARTIFACT else MAX_FILE_BYTES
        if size != facts.bytes:
            raise VerificationFailed(f"{name} has {size:,} bytes, and {MANIFEST} states {facts.bytes:,}")
        if size > limit:
            raise VerificationFailed(f"{name} has {size:,} bytes: at most {limit:,} are read")


def _check_model(name: str, content: bytes, runtime_name: str) -> None:
    try:
        if runtime(runtime_name).trust == "native":
            raise UnsafeFile("is a shared library, which only a named signer's signature could vouch for")
        runtime(runtime_name).check(content)
    except UnsafeFile as error:
        raise VerificationFailed(f"{name} {error}: it is not loaded") from error


class PlainFolder:
    """A folder with two folders in it, held open, so that renaming one meanwhile changes nothing.

    Raises UsageError when `path` is not a folder, VerificationFailed for a packed bundle. Names have a forward slash;
    every method raises VerificationFailed, with the name, for anything but a regular file that lies in this folder
    alone.
    """

    def __init__(self, path: Path) -> None:
        expected = "expected the folder that `explore export` wrote"
        if not os.path.exists(path):
            raise UsageError(f"there is no bundle at {path}: {expected}")
        if path.suffix in (".zip", ".tar", ".gz", ".tgz") and not os.path.isdir(path):
            raise VerificationFailed(
                f"{path} is a packed bundle, and packed bundles are not unpacked here: unpack it into a new folder, "
                f"which may have at most {_MAX_ENTRIES:,} files and no links, and name that"
            )
        try:
            self._folders = {"": os.open(path, _FOLDER)}
        except OSError as error:
            raise UsageError(f"{path} cannot be read as a bundle ({error.strerror}): {expected}") from error

    def __enter__(self) -> PlainFolder:
        return self

    def __exit__(self, *exception: object) -> None:
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders.clear()

    def names(self) -> list[str]:
        """Return every file in it, sorted, without opening any."""
        found = self._entries("")
        for folder in (LIB, MODEL, *_CACHES):
            if folder in found:
                found.remove(folder)
                found += [f"{folder}/{name}" for name in self._entries(folder)]
        return sorted(found)

    def size(self, name: str) -> int:
        """Return the file's size in bytes."""
        with os.fdopen(self._open(name), "rb") as file:
            return os.fstat(file.fileno()).st_size

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return the file's content. Raises VerificationFailed when it has more than `max_bytes`."""
        with os.fdopen(self._open(name), "rb") as file:
            try:
                content = file.read(max_bytes + 1)
            except OSError as error:
                raise VerificationFailed(f"{name} cannot be read ({error.strerror})") from error
        if len(content) > max_bytes:
            raise VerificationFailed(f"{name} has more than the {max_bytes:,} bytes that it may have")
        return content

    def read_known(self, name: str, facts: FileFacts) -> bytes:
        """Return the content of a file. Raises VerificationFailed unless it has that size and SHA-256."""
        content = self.read(name, facts.bytes)
        found = hashlib.sha256(content).hexdigest()
        if len(content) != facts.bytes or found != facts.sha256:
            raise VerificationFailed(
                f"{name} is not the file of the manifest: its SHA-256 is {found}, expected {facts.sha256}"
            )
        return content

    def _entries(self, folder: str) -> list[str]:
        names = []
        with os.scandir(self._folder(folder)) as entries:
            for entry in entries:
                names.append(entry.name)
                if len(names) > _MAX_ENTRIES:
                    raise VerificationFailed(f"{folder or 'the bundle'} has more than {_MAX_ENTRIES} files")
        return names

    def _folder(self, name: str) -> int:
        if name not in self._folders:
            outer, _, base = name.rpartition("/")
            try:
                self._folders[name] = os.open(base, _FOLDER | os.O_NOFOLLOW, dir_fd=self._folder(outer))
            except OSError as error:
                raise VerificationFailed(f"{name} is not a folder of the bundle: it is a link or a file") from error
        return self._folders[name]

    def _open(self, name: str) -> int:
        folder, _, base = name.rpartition("/")
        try:
            descriptor = os.open(base, _FILE, dir_fd=self._folder(folder))
        except FileNotFoundError as error:
            raise VerificationFailed(f"{name} is missing") from error
        except OSError as error:
            raise VerificationFailed(f"{name} is a link, or cannot be opened ({error.strerror})") from error
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        if stat.S_ISREG(status.st_mode):
            raise VerificationFailed(f"{name} has a second name elsewhere (a hard link): copy the bundle and try again")
        raise VerificationFailed(f"{name} is not a regular file")
