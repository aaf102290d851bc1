"""Reproduction: the sample images through the bundle's model again, in a fresh process, against what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from explorer.deploy.decisions import firm
from explorer.deploy.manifest import SAMPLES
from explorer.deploy.reading import Bundle
from explorer.deploy.report import Row
from explorer.deploy.samples import SampleArrays
from explorer.measure.child import ChildFailed, Stop
from explorer.measure.judging import Judged, judge
from explorer.runtimes.registry import runtime


def reproduced(bundle: Bundle, samples: SampleArrays, place: Path, stop: Stop | None) -> list[Row]:
    """Rows about what executes the model, its logits, and the exits and classes that follow. Raises Interrupted."""
    execution = bundle.manifest.execution
    promised = f"{execution.runtime}, {execution.provider}"
    batch = 1 if execution.is_batch_invariant else bundle.manifest.variant.batch_size
    whole = samples.first(len(samples.images) // batch * batch)
    if not len(whole.images):
        why = f"an image's logits depend on its batch of {batch}, and {SAMPLES} has {len(samples.images)} images"
        return [Row("samples", "the outputs that were measured", "", "not checked", why)]
    images, labels = save_samples(whole, place)
    try:
        made = judge(bundle.artifact, bundle.variant, images, labels, SAMPLES, None, stop)
    except ChildFailed as failed:
        return [Row("runtime", promised, f"the model does not run: {failed.reason}", "fails")]
    if made.logits.shape != whole.logits.shape:
        found = f"logits {list(made.logits.shape)}, expected {list(whole.logits.shape)}"
        return [Row("samples", f"what is in {SAMPLES}", found, "fails")]
    return [_runtime(bundle, promised, made), _logits(bundle, whole, made), _decisions(bundle, whole, made, batch)]


def save_samples(samples: SampleArrays, place: Path) -> tuple[Path, Path]:
    """Images and labels as .npy files in `place`, for a probe. Raises OSError."""
    images, labels = place / "sample_images.npy", place / "sample_labels.npy"
    np.save(images, samples.images)
    np.save(labels, samples.labels)
    return images, labels


def _runtime(bundle: Bundle, promised: str, made: Judged) -> Row:
    """The provider is the one that the runtime itself insists on; what else was loaded would be in the memory too."""
    plugin = runtime(bundle.manifest.execution.runtime)
    found = f"{plugin.name}, {plugin.provider}; loaded: {', '.join(made.modules) or 'nothing'}"
    is_alone = set(made.modules) <= set(plugin.modules) and plugin.modules[0] in made.modules
    is_provider = bundle.manifest.execution.provider == plugin.provider
    return Row("runtime", promised, found, "holds" if is_alone and is_provider else "fails")


def _logits(bundle: Bundle, samples: SampleArrays, made: Judged) -> Row:
    tolerance = bundle.manifest.samples.tolerance
    difference = float(abs(made.logits - samples.logits).max()) / _scale(samples)
    promised = f"within {tolerance:g} of those measured, relative to the largest"
    found = f"largest difference {difference:.2g}, on {len(samples.images)} images"
    return Row("sample logits", promised, found, "holds" if difference <= tolerance else "fails")


def _decisions(bundle: Bundle, samples: SampleArrays, made: Judged, batch: int) -> Row:
    """The same exit and class wherever logits within the tolerance leave no doubt."""
    is_settled = settled(bundle, samples, batch)
    is_equal = (made.exits == samples.exits) & (made.predictions == samples.predictions)
    n, n_equal, n_wrong = len(is_equal), int(is_equal.sum()), int((is_settled & ~is_equal).sum())
    found = f"{n_equal} of {n} the same"
    if n_equal < n - n_wrong:
        found += f", {n - n_wrong - n_equal} too close to call"
    return Row("sample exits and classes", f"those of {n} images", found, "fails" if n_wrong else "holds")


def settled(bundle: Bundle, samples: SampleArrays, batch: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Images [n] whose exit and class logits within the tolerance cannot change.

    In a batch of images that depend on each other, an image that left elsewhere changes the logits of those that
    stayed; and those of later exits are not the stored ones, which no image had left before.
    """
    shift = bundle.manifest.samples.tolerance * _scale(samples)
    is_settled = firm(samples.logits, samples.exits, bundle.manifest.execution.exit_threshold, shift)
    if batch > 1:
        is_settled = np.repeat(is_settled.reshape(-1, batch).all(axis=1), batch) & (samples.exits == 0)
    return is_settled


def _scale(samples: SampleArrays) -> float:
    return max(1.0, float(abs(samples.logits).max()))
