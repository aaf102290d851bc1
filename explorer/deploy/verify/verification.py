"""Verification: whether a bundle from any source holds what its manifest promises, on this machine.

Models are loaded from a private copy of the checked files, in a probe process that may crash or hang without harm. The
bundle's folder is only read, and its run.py is never executed.

Signatures are made and checked by OpenSSH over the bytes of manifest.json, which has the SHA-256 of every file. With
any key that OpenSSH accepts:

    ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n pareto-explorer < BUNDLE/manifest.json > BUNDLE.sig

The allowed signers are a file with a line each, a name and a public key, as in ssh-keygen(1); of several lines with the
same key the first one counts.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from explorer.deploy.export.bundle import bundle_code
from explorer.deploy.manifest import MANIFEST, SAMPLES, Manifest
from explorer.deploy.verify.bundle import Bundle, copy_bundle, read_bundle
from explorer.deploy.verify.claims import claim_rows
from explorer.deploy.verify.contradictions import contradictions
from explorer.deploy.verify.facts import fact_rows, word_rows
from explorer.deploy.verify.quality import data_rows, held_data, quality_rows
from explorer.deploy.verify.report import Remeasurement, Report, Row, Verdict, unchecked
from explorer.deploy.verify.samples import SampleArrays, read_samples, reproduced
from explorer.deploy.verify.speed import speed_rows
from explorer.errors import NotAvailable, UsageError, VerificationFailed
from explorer.records import Progress
from explorer.runtimes.int8_range import LARGEST, has_int8_dot_products, range_warning
from explorer.system import environment
from explorer.system.files import scratch_folder
from explorer.system.worker_process import Stop

NAMESPACE = "pareto-explorer"
_MAX_BYTES = 2**20
_TIMEOUT_S = 30.0
_INT8_WEIGHTS = "int8 weights"


@dataclass(frozen=True, slots=True)
class Signature:
    """The file of a signature, and the file of the signers that the user accepts."""

    file: Path
    signers: Path


def verify(
    folder: Path,
    root: Path | None = None,
    is_quick: bool = False,
    stop: Stop | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    signature: Signature | None = None,
) -> Report:
    """Check everything that the bundle in `folder` states; with `is_quick`, without data set and timing.

    Nothing is loaded of a bundle whose `signature` fails or whose manifest contradicts itself. Data are looked for in
    `root` (None: EXPLORER_DATA, else `data/`), and never downloaded. Raises UsageError when there is no bundle,
    NotAvailable when the model cannot be executed here, Interrupted, OSError, and what `signature_row` raises.
    """
    with scratch_folder() as name:
        try:
            bundle = copy_bundle(read_bundle(folder), Path(name) / "bundle")
            samples = read_samples((bundle.folder / SAMPLES).read_bytes(), bundle.manifest)
        except VerificationFailed as failed:
            return Report(None, (Row("files", "those of the manifest, safe to load", str(failed), "fails"),))
        signed = [signature_row((bundle.folder / MANIFEST).read_bytes(), signature)] if signature else []
        if any(row.verdict == "fails" for row in signed):
            return Report(bundle.manifest.name, (_files(bundle), *signed))
        here = [_packages(bundle.manifest), _device(bundle.manifest)]
        faults, made, why_not = contradictions(bundle, samples), list[Row](), "the manifest contradicts itself"
        if not faults:
            here += _int8_range(bundle)
            again = Remeasurement(bundle, Path(name), all(row.verdict == "holds" for row in here), stop, on_progress)
            made, why_not = _made(again, samples, root, is_quick)
        rows = {row.what: row for row in made}
        for unmade in (fact_rows, claim_rows):
            for row in unmade(bundle, rows, why_not):
                rows[row.what] = _unless_faulty(row, faults)
        words = [_unless_faulty(row, faults) for row in word_rows(bundle.manifest)]
        files = [_files(bundle), *_code(bundle)]
    return Report(bundle.manifest.name, tuple(_explained([*files, *signed, *here, *rows.values(), *words])))


def _unless_faulty(row: Row, faults: Mapping[str, str]) -> Row:
    """Return the row, which fails where its promise contradicts others."""
    why = faults.get(row.what)
    return row if why is None else replace(row, found="", verdict="fails", why=why, is_derived=True)


def _made(again: Remeasurement, samples: SampleArrays, root: Path | None, is_quick: bool) -> tuple[list[Row], str]:
    """Return the rows that needed the model to run, and why there are no others."""
    bundle, report = again.bundle, again.on_progress
    report(Progress(f"{bundle.task.verb[0]} the sample {bundle.task.noun[1]}"))
    rows = reproduced(bundle, samples, again.folder, again.stop)
    if any(row.verdict == "fails" for row in rows):
        # Other measurements take minutes, and say nothing about a model with other outputs.
        return rows, "the model's outputs are others"
    if is_quick:
        return rows, "--quick leaves it out"
    report(Progress("look for the data"))
    data = held_data(bundle.manifest, root)
    are_samples = isinstance(data, str)
    timed = samples.save(again.folder, bundle) if isinstance(data, str) else data.splits.examples
    rows += [*data_rows(bundle, samples, data), *quality_rows(again, data), *speed_rows(again, timed, are_samples)]
    return rows, "nothing here can tell"


def _files(bundle: Bundle) -> Row:
    n, n_bytes = len(bundle.manifest.files), sum(facts.bytes for facts in bundle.manifest.files.values())
    return Row("files", f"{n} files, {n_bytes:,} bytes", "sizes and SHA-256 as stated, safe to load", "holds")


def _code(bundle: Bundle) -> list[Row]:
    """Compare run.py and lib/ with what this package writes, without running them, and name Python's caches of them.

    Other code is no failure: another version of this package writes other code.
    """
    expected = bundle_code(bundle.runtime, bundle.task)
    promised = f"run.py and {len(expected) - 1} modules in lib/"
    others = sorted(name for name, content in expected.items() if (bundle.folder / name).read_bytes() != content)
    if others:
        made, here = (f"pareto-explorer {number or 'of an unknown version'}" for number in _versions(bundle.manifest))
        differs = f", and this is {here}" if made != here else ", as this is, so it was changed, or that version was"
        why = (
            f"the bundle says that {made} wrote it{differs}: read this code before you run it, for nothing here runs it"
        )
        found = f"other code than this version writes: {', '.join(others)}"
        rows = [Row("code", promised, found, "not comparable", why)]
    else:
        rows = [Row("code", promised, "what this version writes, byte for byte", "holds")]
    if bundle.caches:
        why = "Python may run such a file in the place of the code beside it: delete it, unless you made it"
        rows.append(unchecked("Python's caches", f"not listed, not read: {', '.join(bundle.caches)}", why))
    return rows


def _versions(manifest: Manifest) -> tuple[str | None, str | None]:
    """Return the version of this package that measured the trial, as stated, and the one here."""
    stated, here = manifest.provenance.software, environment.software()
    return stated.get("pareto-explorer"), here["pareto-explorer"]


def _packages(manifest: Manifest) -> Row:
    """Compare versions. Others are no failure: the outputs show whether they matter."""
    stated = manifest.execution.packages
    found = {name: _installed(name) for name in stated}
    texts = [", ".join(f"{name} {number}" for name, number in facts.items()) for facts in (stated, found)]
    if found == stated:
        return Row("packages", texts[0], texts[1], "holds")
    return Row("packages", texts[0], texts[1], "not comparable", "latency and memory may differ with the versions")


def _installed(package: str) -> str:
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):
        return "not installed"


def _device(manifest: Manifest) -> Row:
    stated, here = manifest.provenance.device, environment.processor()
    promised = f"{stated.processor}, {stated.architecture}, {stated.n_cores} cores"
    found = f"{here['name']}, {here['architecture']}, {here['n_cores']} cores"
    if promised != found:
        return Row("device", promised, found, "not comparable", "latency and memory are those of the other device")
    if set(stated.instructions) != set(here["instructions"]):
        promised, found = (
            f"{found}; {', '.join(sorted(names)) or 'none'}" for names in (stated.instructions, here["instructions"])
        )
        return Row("device", promised, found, "not comparable", "with other instructions outputs and times may differ")
    return Row("device", promised, found, "holds")


def _int8_range(bundle: Bundle) -> list[Row]:
    """Return a row where int8 weights leave the stated range, or where that is for other processors; else none."""
    execution, instructions = bundle.manifest.execution, environment.processor()["instructions"]
    plugin = bundle.runtime
    if not plugin.saturates(execution.quantization):
        return []
    largest = plugin.largest_int8_weight(bundle.artifact.files)
    if execution.int8_range is not None and largest > LARGEST[execution.int8_range]:
        limit = f"weights of {execution.int8_range} are at most {LARGEST[execution.int8_range]}"
        return [Row(_INT8_WEIGHTS, execution.int8_range, f"weights up to {largest}", "fails", limit)]
    why = range_warning(execution.int8_range, instructions)
    if why is None:
        return []
    has_dot_products = has_int8_dot_products(instructions)
    found = f"a processor with{'' if has_dot_products else 'out'} int8 dot products"
    verdict: Verdict = "holds" if has_dot_products else "not comparable"
    return [Row(_INT8_WEIGHTS, execution.int8_range or "not recorded", found, verdict, why)]


def _explained(rows: list[Row]) -> list[Row]:
    """Add a possible saturation of int8 products to the reasons of rows that fail."""
    cause = next((row.why for row in rows if row.what == _INT8_WEIGHTS and row.verdict == "not comparable"), "")
    whys = ["; ".join(filter(None, (row.why, cause))) if row.verdict == "fails" else row.why for row in rows]
    return [replace(row, why=why) for row, why in zip(rows, whys, strict=True)]


def signature_row(manifest: bytes, signature: Signature) -> Row:
    """Return whether one of the signers signed this manifest.

    Raises UsageError when a file cannot be read, NotAvailable without ssh-keygen.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise NotAvailable("a signature is checked by ssh-keygen, which is not on the PATH: install OpenSSH")
    file, signers = (_readable(path) for path in (signature.file, signature.signers))
    promised = f"signed by one of {signature.signers}"
    found = _run([program, "-Y", "find-principals", "-s", file, "-f", signers])
    names = found.stdout.decode("utf-8", "replace").splitlines()
    if found.returncode or not names:
        return Row("signature", promised, "made with another key, or no signature", "fails", _first_line(found))
    checked = _run([program, "-Y", "verify", "-n", NAMESPACE, "-s", file, "-f", signers, "-I", names[0]], manifest)
    if checked.returncode:
        found_key = f"a key of {names[0]}, not of this manifest.json, or not for bundles"
        return Row("signature", promised, found_key, "fails", _first_line(checked))
    return Row("signature", promised, f"signed by {names[0]}", "holds", _first_line(checked))


def _readable(path: Path) -> str:
    """Return the absolute path of a small file, which no program takes for an option."""
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file: it is read more than once")
    try:
        with path.open("rb") as file:
            if len(file.read(_MAX_BYTES + 1)) > _MAX_BYTES:
                raise UsageError(f"{path} is larger than {_MAX_BYTES:,} bytes, and no file of signatures or signers")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    return str(path.absolute())


def _run(arguments: list[str], content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(arguments, input=content, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotAvailable(f"ssh-keygen did not answer within {_TIMEOUT_S:.0f} s") from error


def _first_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the first line of ssh-keygen's output."""
    lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
    return f"ssh-keygen: {lines[0]}" if lines else f"ssh-keygen ended with {done.returncode}"
