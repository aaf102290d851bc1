"""samples.npz: only the arrays that the manifest states, and nothing unpickled or unpacked without end."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest
from tiny_bundle import write_tiny_bundle

from explorer.deploy.reading import Bundle, read_bundle
from explorer.deploy.samples import read_samples
from explorer.errors import VerificationFailed


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
    assert len(samples.first(3).images) == samples.first(3).logits.shape[1] == 3


def test_read_samples_missing_or_surplus_array_is_refused(bundle, arrays):
    refused(packed({**arrays, "extra": np.zeros(1)}), bundle, "holds .*extra.npy")
    refused(packed({name: array for name, array in arrays.items() if name != "exits"}), bundle, "holds ")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("images", lambda a: a[:-1]),
        ("images", lambda a: a.astype(np.int16)),
        ("images", lambda a: np.asfortranarray(a[:, ::-1])),
        ("images", lambda a: a.reshape(16, 8, 8, 1)),
        ("labels", lambda a: a.astype(np.int32)),
        ("labels", lambda a: a.astype(np.float64)),
        ("logits", lambda a: a.astype(np.float64)),
        ("logits", lambda a: a[:1]),
        ("exits", lambda a: a.astype(">i8")),
        ("predictions", lambda a: a[None]),
    ],
)
def test_read_samples_other_shape_or_type_is_refused(bundle, arrays, name, change):
    refused(packed({**arrays, name: change(arrays[name])}), bundle, f"does not read: {name} ")


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("labels", 10, "labels that are not among 0 to 9"),
        ("labels", -1, "labels that are not among"),
        ("exits", 2, "exits that are not among 0 to 1"),
        ("predictions", 10, "predictions that are not among"),
        ("logits", np.nan, "not finite"),
        ("logits", np.inf, "not finite"),
    ],
)
def test_read_samples_impossible_value_is_refused(bundle, arrays, name, value, match):
    arrays[name].flat[0] = value
    refused(packed(arrays), bundle, match)


@pytest.mark.parametrize("name", ["exits", "predictions"])
def test_read_samples_that_contradict_their_logits_are_refused(bundle, arrays, name):
    arrays[name][0] = 1 - arrays[name][0] if name == "exits" else (arrays[name][0] + 1) % 10
    refused(packed(arrays), bundle, "not those of its own logits")


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
        refused(packed({**arrays, "labels": payload}), bundle, "does not read: labels ")
    assert not canary.exists()


def test_read_samples_bare_pickle_as_a_member_is_refused(bundle, arrays):
    content = io.BytesIO(packed(arrays))
    with zipfile.ZipFile(content) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["labels.npy"] = b"\x80\x04." + b"\0" * (len(members["labels.npy"]) - 3)
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
