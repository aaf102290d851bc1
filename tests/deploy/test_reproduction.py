"""The sample images again: what counts as the same, and what no logits within the tolerance can excuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from explorer.deploy import reproduction
from explorer.deploy.reading import Bundle, read_bundle
from explorer.deploy.reproduction import reproduced
from explorer.deploy.samples import SampleArrays, read_samples
from explorer.measure.child import ChildFailed
from explorer.measure.judging import Judged
from explorer.records import Measurement


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    """An honest bundle with an early exit."""
    return read_bundle(write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", n_exits=2))


@pytest.fixture(scope="module")
def samples(bundle) -> SampleArrays:
    return read_samples((bundle.folder / "samples.npz").read_bytes(), bundle.manifest)


@pytest.fixture
def rows_of(bundle, samples, tmp_path, monkeypatch):
    """The rows when the model makes these outputs instead of its own, by what they are about."""

    def rows(bundle=bundle, modules=("onnxruntime",), **outputs):
        known = {"logits": samples.logits, "exits": samples.exits, "predictions": samples.predictions, **outputs}
        judged = Judged(Measurement(1.0), **known, modules=modules)
        monkeypatch.setattr(reproduction, "judge", lambda *_: judged)
        return {row.what: row for row in reproduced(bundle, samples, tmp_path, None)}

    return rows


def changed(bundle: Bundle, part: str, **fields: object) -> Bundle:
    """The bundle with another part of its manifest."""
    inner = getattr(bundle.manifest, part).model_copy(update=fields)
    return Bundle(bundle.folder, bundle.manifest.model_copy(update={part: inner}))


def test_reproduced_real_model_holds(bundle, samples, tmp_path):
    rows = reproduced(bundle, samples, tmp_path, None)
    assert [(row.what, row.verdict) for row in rows] == [
        ("runtime", "holds"),
        ("sample logits", "holds"),
        ("sample exits and classes", "holds"),
    ]
    assert rows[0].found == "onnxruntime, CPUExecutionProvider; loaded: onnxruntime"
    assert rows[2].found == "16 of 16 the same"


def test_reproduced_same_outputs_hold(rows_of):
    assert {row.verdict for row in rows_of().values()} == {"holds"}


@pytest.mark.parametrize(("factor", "verdict"), [(0.5, "holds"), (2.0, "fails")])
def test_reproduced_logits_are_judged_by_the_tolerance_relative_to_the_largest(
    bundle, samples, rows_of, factor, verdict
):
    moved = samples.logits.copy()
    moved[1, 3, 4] += factor * bundle.manifest.samples.tolerance * abs(samples.logits).max()
    assert abs(samples.logits).max() > 2
    assert rows_of(logits=moved)["sample logits"].verdict == verdict


@pytest.mark.parametrize("name", ["exits", "predictions"])
def test_reproduced_other_decision_fails_where_the_logits_settle_it(samples, rows_of, name):
    other = getattr(samples, name).copy()
    other[0] = 1 - other[0] if name == "exits" else (other[0] + 1) % 10
    row = rows_of(**{name: other})["sample exits and classes"]
    assert (row.verdict, row.found) == ("fails", "15 of 16 the same")


@pytest.mark.parametrize("name", ["exits", "predictions"])
def test_reproduced_other_decision_is_excused_where_the_tolerance_leaves_it_open(bundle, samples, rows_of, name):
    other = getattr(samples, name).copy()
    other[0] = 1 - other[0] if name == "exits" else (other[0] + 1) % 10
    row = rows_of(changed(bundle, "samples", tolerance=0.9), **{name: other})["sample exits and classes"]
    assert (row.verdict, row.found) == ("holds", "15 of 16 the same, 1 too close to call")


def test_reproduced_other_shape_of_logits_fails(samples, rows_of):
    (row,) = rows_of(logits=samples.logits[:1]).values()
    assert row.verdict == "fails"
    assert row.found == "logits [1, 16, 10], expected [2, 16, 10]"


@pytest.mark.parametrize("modules", [("onnxruntime", "torch"), (), ("torch",)])
def test_reproduced_other_modules_in_the_process_fail(rows_of, modules):
    assert rows_of(modules=modules)["runtime"].verdict == "fails"


def test_reproduced_other_provider_is_promised_fails(bundle, rows_of):
    row = rows_of(changed(bundle, "execution", provider="CUDAExecutionProvider"))["runtime"]
    assert row.verdict == "fails"
    assert row.promised == "onnxruntime, CUDAExecutionProvider"


def test_reproduced_crash_fails_with_its_reason(bundle, samples, tmp_path, monkeypatch):
    def crash(*_):
        raise ChildFailed("signal SIGSEGV", "ended by SIGSEGV in phase 'load'")

    monkeypatch.setattr(reproduction, "judge", crash)
    (row,) = reproduced(bundle, samples, tmp_path, None)
    assert (row.what, row.verdict) == ("runtime", "fails")
    assert row.found == "the model does not run: ended by SIGSEGV in phase 'load'"


def in_batches(bundle: Bundle, batch_size: int) -> Bundle:
    """The bundle as if images depended on the others of their batch."""
    return changed(changed(bundle, "variant", batch_size=batch_size), "execution", is_batch_invariant=False)


def test_reproduced_batch_larger_than_the_samples_is_not_checked(bundle, rows_of):
    (row,) = rows_of(in_batches(bundle, 17)).values()
    assert row.verdict == "not checked"
    assert "depend on its batch of 17, and samples.npz has 16 images" in row.why


def test_reproduced_only_whole_batches_are_compared(bundle, samples, rows_of):
    first = samples.first(14)
    outputs = {"logits": first.logits, "exits": first.exits, "predictions": first.predictions}
    rows = rows_of(in_batches(bundle, 7), **outputs)
    assert rows["sample logits"].verdict == "holds"
    assert "on 14 images" in rows["sample logits"].found


def test_settled_neighbors_of_an_open_decision_are_open_too(bundle, samples):
    of_batches = in_batches(bundle, 4)
    alone = reproduction.settled(bundle, samples, 1)
    together = reproduction.settled(of_batches, samples, 4)
    assert alone.all()
    assert together.tolist() == (samples.exits == 0).tolist()
    open_one = samples.logits.copy()
    open_one[:, 0] = 0.0
    spoiled = SampleArrays(samples.images, samples.labels, open_one, samples.exits, samples.predictions)
    assert reproduction.settled(bundle, spoiled, 1)[1:].all()
    assert not reproduction.settled(of_batches, spoiled, 4)[:4].any()


def test_save_samples_reads_back(samples, tmp_path):
    images, labels = reproduction.save_samples(samples, Path(tmp_path))
    np.testing.assert_array_equal(np.load(images), samples.images)
    np.testing.assert_array_equal(np.load(labels), samples.labels)
