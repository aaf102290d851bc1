"""samples.npz: only the arrays that the manifest states, and nothing unpickled or unpacked without end."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_arrays
from tiny_bundle import write_tiny_bundle

from explorer.deploy.verify import samples as samples_module
from explorer.deploy.verify.bundle import Bundle, read_bundle
from explorer.deploy.verify.samples import SampleArrays, is_robust, read_samples, reproduced, settled
from explorer.errors import VerificationFailed
from explorer.measure.quality_pass import QualityPass
from explorer.runtimes.onnxruntime import OnnxRuntime
from explorer.runtimes.staged import exits_taken
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.classification_files import confidence
from explorer.tasks.task import task_named


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    """An honest bundle with an early exit."""
    return read_bundle(write_tiny_bundle(tmp_path_factory.mktemp("tiny") / "bundle", n_exits=2))


@pytest.fixture
def arrays(bundle) -> dict[str, np.ndarray]:
    """What is in its samples.npz."""
    with np.load(bundle.folder / "samples.npz") as archive:
        return {name: archive[name] for name in archive.files}


def packed(arrays, save=np.savez) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


def refused(content: bytes, bundle: Bundle, match: str) -> None:
    with pytest.raises(VerificationFailed, match=f"^samples.npz.*{match}"):
        read_samples(content, bundle.manifest)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_read_samples_honest_are_those_that_were_written(bundle, arrays, save):
    samples = read_samples(packed(arrays, save), bundle.manifest)
    for name, array in arrays.items():
        np.testing.assert_array_equal(getattr(samples, name), array)
    assert len(samples.first(3).inputs) == samples.first(3).outputs.shape[1] == 3


def test_read_samples_missing_or_surplus_array_is_refused(bundle, arrays):
    refused(packed({**arrays, "extra": np.zeros(1)}), bundle, "holds .*extra.npy")
    refused(packed({name: array for name, array in arrays.items() if name != "exits"}), bundle, "holds ")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("inputs", lambda a: a[:-1]),
        ("inputs", lambda a: a.astype(np.int16)),
        ("inputs", lambda a: np.asfortranarray(a[:, ::-1])),
        ("inputs", lambda a: a.reshape(16, 8, 8, 1)),
        ("targets", lambda a: a.astype(np.int32)),
        ("targets", lambda a: a.astype(np.float64)),
        ("outputs", lambda a: a.astype(np.float64)),
        ("outputs", lambda a: a[:1]),
        ("exits", lambda a: a.astype(">i8")),
        ("answers", lambda a: a[None]),
    ],
)
def test_read_samples_other_shape_or_type_is_refused(bundle, arrays, name, change):
    refused(packed({**arrays, name: change(arrays[name])}), bundle, f"does not read: {name} ")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("targets", 10, "labels that are not among 0 to 9"),
        ("targets", -1, "labels that are not among"),
        ("exits", 2, "exits that are not among 0 to 1"),
        ("answers", np.nan, "answers that are not finite"),
        ("outputs", np.nan, "not finite"),
        ("outputs", np.inf, "not finite"),
    ],
)
def test_read_samples_impossible_value_is_refused(bundle, arrays, name, value, match):
    arrays[name].flat[0] = value
    refused(packed(arrays), bundle, match)


@pytest.mark.parametrize("name", ["exits", "answers"])
def test_read_samples_that_contradict_their_logits_are_refused(bundle, arrays, name):
    arrays[name][0] = 1 - arrays[name][0] if name == "exits" else -arrays[name][0]
    refused(packed(arrays), bundle, "not those of its own outputs")


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


def test_read_samples_array_of_objects_is_refused_and_never_unpickled(bundle, arrays, tmp_path):
    canary = tmp_path / "canary"
    for n in (1, 16):
        payload = np.array([Payload(f"touch {canary}")] * n, dtype=object)
        refused(packed({**arrays, "targets": payload}), bundle, "does not read: targets ")
    assert not canary.exists()


def test_read_samples_bare_pickle_as_a_member_is_refused(bundle, arrays):
    content = io.BytesIO(packed(arrays))
    with zipfile.ZipFile(content) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["targets.npy"] = b"\x80\x04." + b"\0" * (len(members["targets.npy"]) - 3)
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    refused(changed.getvalue(), bundle, "not such an array as NumPy writes it")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.99])
def test_read_samples_truncated_is_refused(bundle, arrays, share):
    content = packed(arrays)
    refused(content[: int(share * len(content))], bundle, "does not read")


def test_read_samples_bomb_is_refused_unopened(bundle, arrays, monkeypatch):
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in arrays:
            archive.writestr(f"{name}.npy", b"\0" * 2**22)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("a member was unpacked"))
    refused(changed.getvalue(), bundle, "has 4,194,304 bytes")


def test_read_samples_giant_stated_number_is_refused(bundle, arrays):
    samples = bundle.manifest.samples.model_copy(update={"n": 2**50})
    stated = bundle.manifest.model_copy(update={"samples": samples})
    with pytest.raises(VerificationFailed, match="of values are expected"):
        read_samples(packed(arrays), stated)


TASK = task_named("classification")
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 5))


def classes(logits, exits):
    return np.take_along_axis(logits, exits[None, :, None], axis=0)[0].argmax(axis=1)


@settings(max_examples=300)
@given(st.data())
def test_firm_decisions_stay_when_logits_move_within_the_shift(data):
    shape = data.draw(SHAPES)
    logits = data.draw(any_arrays(np.float64, shape, elements=st.floats(-30, 30)))
    shift = data.draw(st.floats(0.0, 3.0))
    threshold = data.draw(st.floats(0.2, 1.0))
    moves = data.draw(any_arrays(np.float64, shape, elements=st.floats(-1, 1)))
    exits = exits_taken(logits, threshold, confidence)
    is_firm = is_robust(TASK, logits, exits, threshold, shift)
    moved = logits + 0.999 * shift * moves
    exits_then = exits_taken(moved, threshold, confidence)
    assert (exits_then == exits)[is_firm].all()
    assert (classes(moved, exits_then) == classes(logits, exits))[is_firm].all()


def test_firm_close_classes_are_not():
    logits = np.array([[[1.0, 0.0], [1.0, 0.9]]])
    assert is_robust(TASK, logits, np.zeros(2, dtype=int), 1.0, 0.1).tolist() == [True, False]


@pytest.mark.parametrize("exit_taken", [0, 1])
def test_firm_confidence_at_the_threshold_is_not(exit_taken):
    at_threshold = np.log(9.0)  # the softmax of (x, 0) is 0.9 there
    logits = np.array([[[at_threshold, 0.0]], [[5.0, 0.0]]])
    assert is_robust(TASK, logits, np.array([exit_taken]), 0.9, 0.01).tolist() == [False]


def test_firm_clear_confidence_is():
    logits = np.array([[[9.0, 0.0], [0.1, 0.0]], [[9.0, 0.0], [9.0, 0.0]]])
    exits = exits_taken(logits, 0.9, confidence)
    assert exits.tolist() == [0, 1]
    assert is_robust(TASK, logits, exits, 0.9, 0.01).all()


def test_firm_single_class_always_is():
    assert is_robust(TASK, np.zeros((2, 3, 1)), np.zeros(3, dtype=int), 0.9, 10.0).all()


@pytest.fixture(scope="module")
def samples(bundle) -> SampleArrays:
    return read_samples((bundle.folder / "samples.npz").read_bytes(), bundle.manifest)


@pytest.fixture
def rows_of(bundle, samples, tmp_path, monkeypatch):
    """The rows when the model makes these outputs instead of its own, by what they are about."""

    def rows(bundle=bundle, modules=("onnxruntime",), **outputs):
        known = {
            "logits": samples.outputs,
            "exits": samples.exits,
            "predictions": samples.answers.argmax(axis=1),
            **outputs,
        }
        answers = np.eye(10, dtype=np.float32)[known["predictions"]]
        judged = QualityPass({}, known["logits"], known["exits"], answers, modules)
        monkeypatch.setattr(samples_module, "run_quality_pass", lambda *_: judged)
        return {row.what: row for row in reproduced(bundle, samples, tmp_path, None)}

    return rows


def changed(bundle: Bundle, part: str, **fields: object) -> Bundle:
    """The bundle with another part of its manifest."""
    whole = getattr(bundle.manifest, part)
    inner = whole.replaced(**fields) if part == "variant" else whole.model_copy(update=fields)
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
    moved = samples.outputs.copy()
    moved[1, 3, 4] += factor * bundle.tolerance * abs(samples.outputs).max()
    assert abs(samples.outputs).max() > 2
    assert rows_of(logits=moved)["sample logits"].verdict == verdict


@pytest.mark.parametrize("name", ["exits", "predictions"])
def test_reproduced_other_decision_fails_where_the_logits_settle_it(samples, rows_of, name):
    other = (samples.exits if name == "exits" else samples.answers.argmax(axis=1)).copy()
    other[0] = 1 - other[0] if name == "exits" else (other[0] + 1) % 10
    row = rows_of(**{name: other})["sample exits and classes"]
    assert (row.verdict, row.found) == ("fails", "15 of 16 the same")


@pytest.mark.parametrize("name", ["exits", "predictions"])
def test_reproduced_other_decision_is_excused_where_the_tolerance_leaves_it_open(samples, rows_of, monkeypatch, name):
    other = (samples.exits if name == "exits" else samples.answers.argmax(axis=1)).copy()
    other[0] = 1 - other[0] if name == "exits" else (other[0] + 1) % 10
    monkeypatch.setattr(OnnxRuntime, "tolerance", lambda self, quantization: 0.9)
    row = rows_of(**{name: other})["sample exits and classes"]
    assert (row.verdict, row.found) == ("holds", "15 of 16 the same, 1 too close to call")


def test_reproduced_tolerance_of_the_manifest_excuses_nothing(bundle, samples, rows_of):
    rows = rows_of(changed(bundle, "samples", tolerance=1e9), logits=samples.outputs + 1)
    assert rows["sample logits"].verdict == "fails"


@pytest.mark.parametrize(("quantization", "tolerance"), [("none", 1e-4), ("static_int8", 0.05), ("dynamic_int8", 0.05)])
def test_tolerance_of_is_the_runtimes(bundle, quantization, tolerance):
    assert changed(bundle, "execution", quantization=quantization).tolerance == tolerance


def test_reproduced_other_shape_of_logits_fails(samples, rows_of):
    (row,) = rows_of(logits=samples.outputs[:1]).values()
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
        raise WorkerFailed("signal SIGSEGV", "ended by SIGSEGV in phase 'load'")

    monkeypatch.setattr(samples_module, "run_quality_pass", crash)
    (row,) = reproduced(bundle, samples, tmp_path, None)
    assert (row.what, row.verdict) == ("runtime", "fails")
    assert row.found == "the model does not run: ended by SIGSEGV in phase 'load'"


def in_batches(bundle: Bundle, batch_size: int) -> Bundle:
    """The bundle as if images depended on the others of their batch."""
    variant = bundle.manifest.variant.replaced(batch_size=batch_size)
    in_batches = Bundle(bundle.folder, bundle.manifest.model_copy(update={"variant": variant}))
    return changed(in_batches, "execution", is_batch_invariant=False)


def test_reproduced_batch_larger_than_the_samples_is_not_checked(bundle, rows_of):
    (row,) = rows_of(in_batches(bundle, 17)).values()
    assert row.verdict == "not checked"
    assert "depend on its batch of 17, and samples.npz has 16 images" in row.why


def test_reproduced_only_whole_batches_are_compared(bundle, samples, rows_of):
    first = samples.first(14)
    outputs = {"logits": first.outputs, "exits": first.exits, "predictions": first.answers.argmax(axis=1)}
    rows = rows_of(in_batches(bundle, 7), **outputs)
    assert rows["sample logits"].verdict == "holds"
    assert "on 14 images" in rows["sample logits"].found


def test_settled_neighbors_of_an_open_decision_are_open_too(bundle, samples):
    def settled_of(logits, batch):
        return settled(in_batches(bundle, batch), logits, samples.exits, 1e-4)

    assert settled_of(samples.outputs, 1).all()
    assert settled_of(samples.outputs, 4).tolist() == (samples.exits == 0).tolist()
    open_one = samples.outputs.copy()
    open_one[:, 0] = 0.0
    assert settled_of(open_one, 1)[1:].all()
    assert not settled_of(open_one, 4)[:4].any()


def test_settled_images_after_the_last_whole_batch_are_open(bundle, samples):
    at_once = changed(in_batches(bundle, 5), "execution", exit_threshold=1e-9, is_batch_invariant=False)
    made = settled(at_once, samples.outputs, np.zeros(16, dtype=np.int64), 1e-4)
    assert made.tolist() == [True] * 15 + [False]


def test_save_samples_reads_back(bundle, samples, tmp_path):
    saved = samples.save(tmp_path, bundle)
    np.testing.assert_array_equal(np.load(saved.inputs), samples.inputs)
    np.testing.assert_array_equal(np.load(saved.targets), samples.targets)
    assert (saved.task, saved.facts) == (bundle.manifest.task.name, bundle.facts)
