"""Bundles from strangers: every way to tamper with one is refused, with the file's name, and nothing is executed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from tiny_bundle import change_manifest, linear_model, seal

from explorer.deploy.manifest import FileFacts
from explorer.deploy.verify.bundle import PlainFolder, copy_bundle, read_bundle
from explorer.errors import UsageError, VerificationFailed

FILES = (
    "model/artifact.json",
    "model/segment_0.onnx",
    "model/segment_1.onnx",
    "run.py",
    "lib/bundle_model.py",
    "lib/files.py",
    "lib/loading.py",
    "lib/staged.py",
    "samples.npz",
    "requirements.txt",
    "Dockerfile",
    "README.md",
    "front.svg",
)


def refused(bundle: Path, match: str) -> None:
    with pytest.raises(VerificationFailed, match=match) as failed:
        read_bundle(bundle)
    assert failed.value.exit_code == 4
    assert "\n" not in str(failed.value)


def test_read_bundle_honest_has_its_manifest_and_classifies(whole):
    bundle = read_bundle(whole)
    assert set(bundle.manifest.files) == set(FILES)
    assert bundle.variant["exit_threshold"] == 0.9
    with np.load(whole / "samples.npz") as samples:
        logits = bundle.executor().all_exits(samples["inputs"])
        assert abs(logits - samples["outputs"]).max() < 1e-4
        assert bundle.executor(threads=1).classify(samples["inputs"])[1].tolist() == samples["exits"].tolist()
        assert set(samples["exits"].tolist()) == {0, 1}


def test_read_bundle_executes_nothing_and_loads_no_runtime(bundle, tmp_path):
    (bundle / "run.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    seal(bundle, "run.py")
    before = sorted(bundle.rglob("*"))
    code = (
        "import sys; from pathlib import Path; from explorer.deploy.verify.bundle import read_bundle;"
        f"read_bundle(Path({str(bundle)!r})); print(sorted({{'torch', 'onnxruntime', 'run'}} & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout == "[]\n"
    assert sorted(bundle.rglob("*")) == before
    assert not (tmp_path / "canary").exists()


def test_read_bundle_missing_folder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no bundle at"):
        read_bundle(tmp_path / "nowhere")


def test_read_bundle_packed_does_not_verify_and_says_to_unpack_it_and_what_it_may_hold(bundle, tmp_path):
    packed = shutil.make_archive(str(tmp_path / "bundle"), "zip", bundle)
    with pytest.raises(VerificationFailed, match=r"unpack it into a new folder, .* at most 1,000 files and no links"):
        read_bundle(Path(packed))


def test_read_bundle_file_is_a_usage_error(bundle):
    with pytest.raises(UsageError, match="expected the folder that"):
        read_bundle(bundle / "run.py")


@pytest.mark.parametrize("name", FILES)
def test_read_bundle_one_flipped_byte_is_refused_with_the_files_name(bundle, name):
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(content)
    refused(bundle, f"^{name} is not the file of the manifest")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_read_bundle_any_change_of_one_byte_is_refused(bundle, data):
    path = bundle / data.draw(st.sampled_from((*FILES, "manifest.json")))
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    try:
        path.write_bytes(content[:at] + bytes([changed]) + content[at + 1 :])
        refused(bundle, f"^({path.relative_to(bundle)} |manifest.json |'|.* is missing)")
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("name", FILES)
def test_read_bundle_removed_file_is_refused(bundle, name):
    (bundle / name).unlink()
    refused(bundle, f"^{name} is missing")


def test_read_bundle_file_removed_from_the_manifest_too_is_refused(bundle):
    (bundle / "README.md").unlink()
    change_manifest(bundle, lambda facts: facts["files"].pop("README.md"))
    refused(bundle, "^README.md is missing")


@pytest.mark.parametrize("name", ["surplus.txt", ".hidden", "model/segment_2.onnx", "model/weights.bin"])
def test_read_bundle_surplus_file_is_refused(bundle, name):
    (bundle / name).write_bytes(b"x")
    refused(bundle, f"^'{name}' is in the folder, and not in manifest.json")


def test_read_bundle_surplus_folder_is_refused(bundle):
    (bundle / "cache").mkdir()
    refused(bundle, "'cache' is in the folder")


CACHES = ("__pycache__/run.cpython-313.pyc", "lib/__pycache__/staged.cpython-313.opt-1.pyc")


@pytest.fixture
def cached(bundle) -> Path:
    """A bundle with what Python leaves beside the code that it imports."""
    for name in CACHES:
        (bundle / name).parent.mkdir()
        (bundle / name).write_bytes(b"never read")
    return bundle


def test_read_bundle_names_the_caches_of_its_code_and_copies_none(cached, tmp_path, monkeypatch):
    monkeypatch.setattr(PlainFolder, "read_known", _without_caches(PlainFolder.read_known))
    copied = copy_bundle(read_bundle(cached), tmp_path / "copy")
    assert copied.caches == CACHES
    assert not list(copied.folder.rglob("*.pyc"))


def _without_caches(read):
    def read_known(self, name, facts):
        assert "__pycache__" not in name
        return read(self, name, facts)

    return read_known


def test_read_bundle_imported_by_python_is_still_a_bundle(bundle):
    code = "import run"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([sys.executable, "-c", code], cwd=bundle, env=environment, check=True)
    assert read_bundle(bundle).caches == (f"__pycache__/run.{sys.implementation.cache_tag}.pyc",)


@pytest.mark.parametrize(
    "name",
    ["__pycache__/numpy.cpython-313.pyc", "lib/__pycache__/run.cpython-313.pyc", "__pycache__/run.py", "lib/a/b.py"],
)
def test_read_bundle_other_files_beside_the_caches_are_refused(cached, name):
    (cached / name).parent.mkdir(exist_ok=True)
    (cached / name).write_bytes(b"x")
    refused(cached, "is in the folder, and not in manifest.json")


@pytest.mark.parametrize("name", ["__pycache__", CACHES[0], "lib/__pycache__"])
def test_read_bundle_linked_caches_are_refused(cached, tmp_path, name):
    (cached / name).rename(tmp_path / "elsewhere")
    (cached / name).symlink_to(tmp_path / "elsewhere")
    refused(cached, f"^{name} is (a link|not a folder of the bundle)")


@pytest.mark.parametrize(
    ("file", "form"), [("model.onnx", "onnx"), ("small-trial-1/config.pbtxt", "triton"), ("MLmodel", "mlflow")]
)
def test_read_bundle_export_of_another_format_is_said_in_a_sentence(tmp_path, file, form):
    for name in (file, "model.onnx") if form == "mlflow" else (file,):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=f"expected a bundle at .*, got an export of the format {form}, which") as no:
        read_bundle(tmp_path)
    assert "export the trial with --format bundle" in str(no.value)


def test_read_bundle_without_a_manifest_is_refused(bundle):
    (bundle / "manifest.json").unlink()
    refused(bundle, "^manifest.json is missing")


def test_read_bundle_renamed_file_is_refused(bundle):
    (bundle / "front.svg").rename(bundle / "back.svg")
    refused(bundle, "^front.svg is missing")


def test_read_bundle_too_many_files_are_refused(bundle):
    for number in range(1001):
        (bundle / f"{number}.txt").touch()
    refused(bundle, "more than 1000 files")


@pytest.mark.parametrize(
    "name",
    ["../outside", "/etc/passwd", "model/../run.py", "model\\segment_2.onnx", "model/deep/segment_2.onnx", "setup.py"],
)
def test_read_bundle_listed_name_that_no_bundle_has_is_refused(bundle, name):
    change_manifest(bundle, lambda facts: facts["files"].update({name: facts["files"]["run.py"]}))
    refused(bundle, "which is no file of a bundle")


@pytest.mark.parametrize("name", ["run.py", "model/segment_0.onnx", "manifest.json"])
def test_read_bundle_symbolic_link_is_refused(bundle, tmp_path, name):
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    refused(bundle, f"^{name} is a link")


def test_read_bundle_linked_model_folder_is_refused(bundle, tmp_path):
    (bundle / "model").rename(tmp_path / "elsewhere")
    (bundle / "model").symlink_to(tmp_path / "elsewhere")
    refused(bundle, "^model is not a folder of the bundle")


@pytest.mark.parametrize("name", ["samples.npz", "manifest.json"])
def test_read_bundle_hard_link_is_refused(bundle, tmp_path, name):
    os.link(bundle / name, tmp_path / "elsewhere")
    refused(bundle, f"^{name} has a second name elsewhere")


@pytest.mark.parametrize("name", ["Dockerfile", "manifest.json"])
def test_read_bundle_named_pipe_is_refused_without_waiting(bundle, name):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    refused(bundle, f"^{name} is not a regular file")


def test_read_bundle_folder_in_the_place_of_a_file_is_refused(bundle):
    (bundle / "README.md").unlink()
    (bundle / "README.md").mkdir()
    refused(bundle, "^README.md is not a regular file")


def test_read_bundle_other_size_is_refused_before_it_is_read(bundle, monkeypatch):
    with (bundle / "samples.npz").open("ab") as file:
        file.truncate(2**40)  # takes no room on the disk
    monkeypatch.setattr(PlainFolder, "read_known", lambda *_: pytest.fail("a file was read"))
    refused(bundle, "^samples.npz has 1,099,511,627,776 bytes")


@pytest.mark.parametrize(("size", "match"), [(2**40, "of files: at most"), (3 * 2**30, "^run.py has 3,221,225,472")])
def test_read_bundle_giant_stated_size_is_refused_before_anything_is_read(bundle, size, match):
    with (bundle / "run.py").open("ab") as file:
        file.truncate(size)
    change_manifest(bundle, lambda facts: facts["files"]["run.py"].update({"bytes": size}))
    refused(bundle, match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda text: "", "does not read as JSON"),
        (lambda text: text[: len(text) // 2], "does not read as JSON"),
        (lambda text: f"[{text}]", "does not hold an object"),
        (lambda text: text.replace('"value": 500.0', '"value": NaN', 1), "NaN is not a number of JSON"),
        (lambda text: text.replace('"value": 500.0', '"value": 1e999', 1), "metrics.cold_start_ms"),
        (lambda text: text.replace('"seed": 0', '"seed": 0, "seed": 1', 1), "the key 'seed' is there twice"),
        (lambda text: text.replace('"seed": 0', '"seed": 0, "user": "me"', 1), "provenance.user"),
        (lambda text: text.replace('"seed": 0', '"seed": 0, "\\u001b[2J": 1', 1), r"provenance.\\x1b\[2J"),
        (lambda text: text.replace('"seed": 0', '"seed": "0"', 1), "provenance.seed"),
        (lambda text: text.replace('"format": 2', '"format": 3', 1), "format"),
        (lambda text: "[" * 100_000, "nested too deeply"),
        (lambda text: text + " " * 2**22, "more than the 4,194,304 bytes"),
    ],
)
def test_read_bundle_manifest_that_is_not_one_is_refused(bundle, change, match):
    path = bundle / "manifest.json"
    facts = json.dumps(json.loads(path.read_text()))
    changed = change(facts)
    assert changed != facts
    path.write_text(changed)
    refused(bundle, f"^manifest.json.*{match}")


@pytest.mark.parametrize("old", [" ", "tiny", "500.0"])
def test_read_bundle_manifest_that_says_something_else_is_refused(bundle, old):
    path = bundle / "manifest.json"
    path.write_text(path.read_text().replace(old, {" ": "\t", "tiny": "TINY", "500.0": "400.0"}[old], 1))
    refused(bundle, r"^manifest.json is not as it was written")


def test_read_bundle_manifest_not_in_utf8_is_refused(bundle):
    (bundle / "manifest.json").write_bytes(b'{"name": "\xff"}')
    refused(bundle, "^manifest.json does not read as JSON")


def spoiled_segment(bundle: Path, change) -> None:
    """Change the model as somebody would who sees to it that every hash still fits."""
    path = bundle / "model" / "segment_0.onnx"
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    seal(bundle, "model/segment_0.onnx")


def test_read_bundle_external_data_are_refused_and_not_read(bundle, tmp_path):
    os.mkfifo(tmp_path / "secret")  # reading it would hang

    def move_out(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../../secret")

    spoiled_segment(bundle, move_out)
    refused(bundle, r"^model/segment_0.onnx refers to external data.*'../../secret'")


def test_read_bundle_operator_from_outside_is_refused(bundle):
    (bundle / "model" / "segment_0.onnx").write_bytes(linear_model(True, 1.0, domain="evil.ops"))
    seal(bundle, "model/segment_0.onnx")
    refused(bundle, "^model/segment_0.onnx uses the operator 'evil.ops.Gemm'")


def test_read_bundle_giant_tensor_is_refused(bundle):
    spoiled_segment(bundle, lambda model: model.graph.initializer[0].dims.append(2**40))
    refused(bundle, "^model/segment_0.onnx declares the tensor 'weights'")


def test_copy_bundle_is_whole_and_private(whole, tmp_path):
    copied = copy_bundle(read_bundle(whole), tmp_path / "copy")
    assert copied.manifest == read_bundle(whole).manifest
    assert copied.folder == tmp_path / "copy"
    assert all((copied.folder / name).read_bytes() == (whole / name).read_bytes() for name in FILES)


def test_copy_bundle_changed_since_it_was_read_is_refused(bundle, tmp_path):
    read = read_bundle(bundle)
    (bundle / "model" / "segment_0.onnx").write_bytes(b"x" * read.manifest.files["model/segment_0.onnx"].bytes)
    with pytest.raises(VerificationFailed, match=r"model/segment_0.onnx is not the file of the manifest"):
        copy_bundle(read, tmp_path / "copy")


def test_copy_bundle_manifest_changed_since_it_was_read_is_refused(bundle, tmp_path):
    read = read_bundle(bundle)
    change_manifest(bundle, lambda facts: facts.update(name="other"))
    with pytest.raises(VerificationFailed, match=r"manifest.json changed while"):
        copy_bundle(read, tmp_path / "copy")


@pytest.fixture
def place(tmp_path):
    """A folder with a file, and a file in its model folder."""
    (tmp_path / "in" / "model").mkdir(parents=True)
    (tmp_path / "in" / "a.txt").write_bytes(b"hello")
    (tmp_path / "in" / "model" / "b.txt").write_bytes(b"world")
    return tmp_path / "in"


def test_names_are_those_of_both_folders(place):
    with PlainFolder(place) as plain:
        assert plain.names() == ["a.txt", "model/b.txt"]
        assert plain.size("model/b.txt") == 5
        assert plain.read("a.txt", 5) == b"hello"


def test_read_more_than_allowed_is_refused(place):
    with PlainFolder(place) as plain, pytest.raises(VerificationFailed, match=r"a.txt has more than the 4 bytes"):
        plain.read("a.txt", 4)


def test_read_known_other_content_is_refused_and_the_right_one_comes_back(place):
    right = FileFacts(sha256=hashlib.sha256(b"hello").hexdigest(), bytes=5)
    with PlainFolder(place) as plain:
        assert plain.read_known("a.txt", right) == b"hello"
        with pytest.raises(VerificationFailed, match=r"model/b.txt is not the file of the manifest"):
            plain.read_known("model/b.txt", right)


def test_read_folder_exchanged_meanwhile_is_the_one_that_was_opened(place, tmp_path):
    with PlainFolder(place) as plain:
        assert plain.names() == ["a.txt", "model/b.txt"]
        place.rename(tmp_path / "moved")
        place.mkdir()
        (place / "a.txt").symlink_to("/etc/passwd")
        (tmp_path / "moved" / "model").rename(tmp_path / "moved" / "other")
        assert plain.read("a.txt", 100) == b"hello"
        assert plain.read("model/b.txt", 100) == b"world"


def test_read_device_is_refused(place, monkeypatch):
    with PlainFolder(place) as plain:
        monkeypatch.setitem(plain._folders, "model", os.open("/dev", os.O_RDONLY))
        with pytest.raises(VerificationFailed, match=r"model/zero is not a regular file"):
            plain.read("model/zero", 10)


def test_closed_folder_leaves_no_descriptor_open(place):
    before = os.listdir("/proc/self/fd")
    with PlainFolder(place) as plain:
        plain.names()
        plain.size("a.txt")
        with pytest.raises(VerificationFailed, match="missing"):
            plain.size("c.txt")
    assert os.listdir("/proc/self/fd") == before
