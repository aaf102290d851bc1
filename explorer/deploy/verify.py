"""Verify: whether a bundle from anywhere holds what its manifest promises, on this machine.

Whatever is loaded is a private copy of the files that were checked, in a probe process that may crash or hang without
harm; the bundle's folder is only read, and its run.py is a text.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from explorer import environment
from explorer.deploy.accuracy import accuracy_rows, held_data
from explorer.deploy.again import Again
from explorer.deploy.manifest import MANIFEST, SAMPLES, Manifest
from explorer.deploy.reading import Bundle, copy_bundle, read_bundle
from explorer.deploy.report import Report, Row
from explorer.deploy.reproduction import reproduced, save_samples
from explorer.deploy.samples import SampleArrays, read_samples
from explorer.deploy.signature import Signature, signature_row
from explorer.deploy.speed import speed_rows
from explorer.errors import RuntimeNotAvailable, VerificationFailed
from explorer.files import scratch_folder
from explorer.measure.child import Stop
from explorer.measure.probing import Validation
from explorer.records import Measurement, Progress
from explorer.runtimes.registry import runtime


def verify(
    folder: Path,
    root: Path | None = None,
    is_quick: bool = False,
    stop: Stop | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    signature: Signature | None = None,
) -> Report:
    """Check every promise of the bundle in `folder`; with `is_quick`, neither accuracy nor latency nor memory.

    Of a bundle whose `signature` does not hold nothing is loaded. Data are looked for in `root` (None: EXPLORER_DATA,
    else `data/`), and never downloaded. Raises UsageError when there is no bundle, RuntimeNotAvailable when nothing can
    execute its model here, Interrupted, OSError, and as `signature_row` does.
    """
    with scratch_folder() as name:
        place = Path(name)
        try:
            bundle = copy_bundle(read_bundle(folder), place / "bundle")
            samples = read_samples((bundle.folder / SAMPLES).read_bytes(), bundle.manifest)
        except VerificationFailed as failed:
            return Report(None, (Row("files", "those of the manifest, safe to load", str(failed), "fails"),))
        signed = [signature_row((bundle.folder / MANIFEST).read_bytes(), signature)] if signature else []
        if any(row.verdict == "fails" for row in signed):
            return Report(bundle.manifest.name, (_files(bundle), *signed))
        _check_runtime(bundle.manifest)
        here = [_packages(bundle.manifest), _device(bundle.manifest)]
        on_progress(Progress("classify the sample images"))
        made = reproduced(bundle, samples, place, stop)
        rows = [_files(bundle), *signed, _size(bundle), *here, *made]
        # A model that gives other outputs is not worth the minutes that measuring takes.
        if not is_quick and all(row.verdict != "fails" for row in made):
            again = Again(bundle, place, all(row.verdict == "holds" for row in here), stop, on_progress)
            rows += _measured_again(again, samples, root)
    return Report(bundle.manifest.name, tuple(rows))


def _measured_again(again: Again, samples: SampleArrays, root: Path | None) -> list[Row]:
    """Accuracy where the data are at hand; latency and memory in any case, on the sample images if need be."""
    again.on_progress(Progress("look for the data"))
    data = held_data(again.bundle.manifest, root)
    n_classes = len(again.bundle.manifest.output.classes)
    if isinstance(data, str):
        images = Validation(*save_samples(samples, again.place), SAMPLES, n_classes)
    else:
        splits = data.splits
        images = Validation(splits.validation_images, splits.validation_labels, splits.fingerprint, n_classes)
    return [*accuracy_rows(again, data), *speed_rows(again, images, isinstance(data, str))]


def _check_runtime(manifest: Manifest) -> None:
    if why := runtime(manifest.execution.runtime).missing():
        raise RuntimeNotAvailable(f"the bundle's files are sound, and its model cannot be executed here: {why}")


def _files(bundle: Bundle) -> Row:
    n, n_bytes = len(bundle.manifest.files), sum(facts.bytes for facts in bundle.manifest.files.values())
    return Row("files", f"{n} files, {n_bytes:,} bytes", "sizes and SHA-256 as stated, safe to load", "holds")


def _size(bundle: Bundle) -> Row:
    """The metric is exact: it is the size of these very files."""
    stated = bundle.manifest.metrics.get("artifact_size_mib")
    found = Measurement(bundle.artifact.size_mib)
    if stated is None or stated.value is None:
        return Row("artifact_size_mib", "not stated", found, "not checked", "the manifest does not state it")
    if abs(stated.value - bundle.artifact.size_mib) < 0.5 / 2**20:
        return Row("artifact_size_mib", Measurement(stated.value), found, "holds")
    return Row("artifact_size_mib", Measurement(stated.value), found, "fails", "the model's files are not that large")


def _packages(manifest: Manifest) -> Row:
    """Other versions are told and no failure: the outputs show whether they matter."""
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
    if promised == found:
        return Row("device", promised, found, "holds")
    return Row("device", promised, found, "not comparable", "latency and memory are those of the other device")
