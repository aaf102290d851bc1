"""Reading a bundle from a stranger: everything is checked before anything of it is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from explorer.deploy.consistency import check_artifact
from explorer.deploy.folder import PlainFolder
from explorer.deploy.manifest import MANIFEST, MODEL, SAMPLES, Manifest
from explorer.deploy.seal import is_sealed
from explorer.deploy.strict_json import strict_object
from explorer.errors import RuntimeNotAvailable, VerificationFailed
from explorer.records import Variant
from explorer.runtimes.artifact import FILE_NAME, Artifact
from explorer.runtimes.registry import runtime
from explorer.runtimes.safety import UnsafeFile, check_segment
from explorer.runtimes.staged import StagedExecutor

MAX_JSON_BYTES = 4 * 2**20
MAX_BUNDLE_BYTES = 4 * 2**30
MAX_FILE_BYTES = 2**31 - 1
"""A message of protocol buffers, and so an ONNX file, cannot have more."""

_ARTIFACT = f"{MODEL}/{FILE_NAME}"
_ALWAYS = (_ARTIFACT, SAMPLES, "run.py", "requirements.txt", "Dockerfile", "README.md", "front.svg")
_SEGMENT = re.compile(rf"{MODEL}/segment_\d{{1,3}}\.(onnx|pt2)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are those of its manifest, and safe to load, when it was read."""

    folder: Path
    manifest: Manifest

    @property
    def variant(self) -> Variant:
        """What was measured."""
        return Variant.from_json(self.manifest.variant.model_dump())

    @property
    def artifact(self) -> Artifact:
        """Its model. Raises OSError, ValueError when it is no longer there."""
        return Artifact.read(self.folder / MODEL)

    def executor(self, threads: int | None = None) -> StagedExecutor:
        """Ready to classify, with as many threads as were measured unless told otherwise.

        Raises RuntimeNotAvailable, and whatever the runtime raises for a model that it cannot load.
        """
        if why := runtime(self.manifest.execution.runtime).missing():
            raise RuntimeNotAvailable(f"the bundle needs a runtime that is not installed: {why}")
        return self.artifact.load(threads or self.manifest.execution.threads)


def read_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`, of which nothing was loaded or executed.

    Every file of the manifest is a regular file in this folder alone, with its size and SHA-256, and there is no other
    one; the model says what the manifest says, and loading it reads no other file and runs no code of its own. Raises
    UsageError when it is not a folder, VerificationFailed, with the file's name, for anything else.
    """
    with PlainFolder(folder) as plain:
        manifest = read_manifest(plain.read(MANIFEST, MAX_JSON_BYTES))
        _check_names(manifest.files, plain.names())
        _check_sizes(manifest, plain)
        check_artifact(strict_object(_ARTIFACT, plain.read_known(_ARTIFACT, manifest.files[_ARTIFACT])), manifest)
        for name, facts in manifest.files.items():
            content = plain.read_known(name, facts)
            if _SEGMENT.fullmatch(name):
                _check_model(name, content, manifest.execution.runtime)
    return Bundle(folder, manifest)


def copy_bundle(bundle: Bundle, target: Path) -> Bundle:
    """The same bundle in the new folder `target`, read again there: what is loaded from it is what was checked.

    Raises VerificationFailed when it changed since it was read, OSError.
    """
    target.mkdir()
    (target / MODEL).mkdir()
    with PlainFolder(bundle.folder) as plain:
        (target / MANIFEST).write_bytes(plain.read(MANIFEST, MAX_JSON_BYTES))
        for name, facts in bundle.manifest.files.items():
            (target / name).write_bytes(plain.read_known(name, facts))
    copied = read_bundle(target)
    if copied.manifest != bundle.manifest:
        raise VerificationFailed(f"{MANIFEST} changed while the bundle was read: try again")
    return copied


def read_manifest(content: bytes) -> Manifest:
    """The manifest in these bytes. Raises VerificationFailed with the first field that is wrong."""
    strict_object(MANIFEST, content)
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = repr(".".join(str(part) for part in first["loc"])[:200])  # a stranger may have named it
        raise VerificationFailed(f"{MANIFEST} is not valid: {field}: {first['msg']}") from error
    if not is_sealed(content):
        raise VerificationFailed(f"{MANIFEST} is not as it was written: its seal does not fit its content")
    return manifest


def _check_names(stated: Iterable[str], found: Iterable[str]) -> None:
    """Both lists of files are those of a bundle, and the same."""
    known, present = set(stated), set(found) - {MANIFEST}
    for name in sorted(known):
        if name not in _ALWAYS and not _SEGMENT.fullmatch(name):
            raise VerificationFailed(f"{MANIFEST} lists {name[:200]!r}, which is no file of a bundle")
    if missing := sorted({*known, *_ALWAYS} - present):
        raise VerificationFailed(f"{missing[0]} is missing")
    if surplus := sorted(present - known):
        raise VerificationFailed(f"{surplus[0]!r} is in the folder, and not in {MANIFEST}: a bundle has nothing else")


def _check_sizes(manifest: Manifest, plain: PlainFolder) -> None:
    """Before any of them is read."""
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
        check_segment(runtime_name, content)
    except UnsafeFile as error:
        raise VerificationFailed(f"{name} {error}: it is not loaded") from error
