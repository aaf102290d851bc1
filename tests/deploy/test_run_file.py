"""run.py alone, in an environment that has the packages of requirements.txt and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from kinds import KINDS
from PIL import Image

from explorer.deploy.run_file import run_file
from explorer.runtimes.registry import RUNTIMES
from explorer.study.samples import trial_outputs


def closure(requirements: str) -> set[str]:
    """The distributions that these lines install, with what they need themselves."""
    found: set[str] = set()
    open_ = [line.split("==")[0] for line in requirements.splitlines()]
    while open_:
        name = re.sub(r"[-_.]+", "-", open_.pop()).lower()
        if name in found:
            continue
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another system or Python
        found.add(name)
        open_ += [re.match(r"[\w.-]+", line)[0] for line in needed if "extra ==" not in line]
    return found


@pytest.fixture(scope="module")
def python_with(tmp_path_factory):
    """A fresh environment whose packages are links to those of this one: installed without a network."""
    made: dict[frozenset[str], Path] = {}

    def make(requirements: str) -> Path:
        names = frozenset(closure(requirements))
        if names not in made:
            root = tmp_path_factory.mktemp("environment")
            venv.create(root, with_pip=False, symlinks=True)
            (site,) = root.glob("lib/python*/site-packages")
            for name in names:
                distribution = metadata.distribution(name)
                for top in {Path(file).parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
                    link = site / top
                    if not link.exists():
                        link.symlink_to(distribution.locate_file(top))
            made[names] = root / "bin" / "python"
        return made[names]

    return make


@pytest.fixture(scope="module")
def pictures(validation, tmp_path_factory):
    """Every validation image as a PNG file, in their order."""
    folder = tmp_path_factory.mktemp("pictures")
    for index, image in enumerate(validation.images):
        Image.fromarray(image[0]).save(folder / f"{index:05d}.png")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_run_py_with_its_requirements_alone_gives_the_studys_classes(
    kind, bundle_of, trial_of, small_study, python_with, pictures, tmp_path
):
    bundle = bundle_of(kind)
    python = python_with((bundle / "requirements.txt").read_text())
    done = subprocess.run(
        [python, bundle / "run.py", pictures, "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    outputs = trial_outputs(small_study, trial_of(kind), len(answers))
    assert len(answers) == 200
    assert [answer["label"] for answer in answers] == [str(label) for label in outputs.predictions]
    assert [answer["exit"] for answer in answers] == outputs.exits.tolist()
    if kind[2] < 1.0:
        assert len(set(outputs.exits.tolist())) > 1


def test_environment_of_requirements_lacks_this_package(bundle_of, python_with):
    python = python_with((bundle_of(("onnxruntime", "none", 1.0, 0.0)) / "requirements.txt").read_text())
    names = ("explorer", "torch", "optuna", "onnxruntime")
    code = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True, cwd=python.parent, env={})
    assert done.stdout.strip() == "['onnxruntime']"


def test_run_py_imported_is_a_class_that_classifies_arrays(bundle_of, small_study, trial_of, validation, tmp_path):
    kind = ("onnxruntime", "static_int8", 0.8, 0.0)
    code = (
        "import sys, numpy as np; from run import Classifier;"
        "logits, exits = Classifier(threads=1).classify(np.load(sys.argv[1]));"
        "np.savez(sys.argv[2], logits=logits, exits=exits)"
    )
    np.save(tmp_path / "some.npy", validation.images[:50])
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "some.npy", tmp_path / "out.npz"], check=True, cwd=bundle_of(kind)
    )
    outputs = trial_outputs(small_study, trial_of(kind), 50)
    with np.load(tmp_path / "out.npz") as made:
        assert made["exits"].tolist() == outputs.exits.tolist()
        assert made["logits"].argmax(axis=1).tolist() == outputs.predictions.tolist()


def test_run_py_file_that_is_no_image_is_said_and_the_others_are_classified(bundle_of, pictures, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "good.png").write_bytes((pictures / "00000.png").read_bytes())
    run = bundle_of(("onnxruntime", "none", 1.0, 0.0)) / "run.py"
    done = subprocess.run([sys.executable, run, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "broken.png: not an image that Pillow reads" in done.stderr
    assert "Traceback" not in done.stderr
    assert "good.png: " in done.stdout


def test_run_py_folder_without_images_is_an_error(bundle_of, tmp_path):
    run = bundle_of(("onnxruntime", "none", 1.0, 0.0)) / "run.py"
    done = subprocess.run([sys.executable, run, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no images in" in done.stderr


@pytest.mark.parametrize("name", RUNTIMES)
def test_run_file_holds_the_source_that_was_measured(name):
    import inspect

    from explorer.runtimes import staged
    from explorer.runtimes.registry import runtime

    text = run_file(name)
    compile(text, "run.py", "exec")
    for part in (staged.StagedExecutor, staged.confidence, staged.leaving, *runtime(name).loading):
        assert inspect.getsource(part) in text
    assert "explorer." not in text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_run_py_copied_elsewhere_runs_for_another_user(bundle_of, validation):
    nobody = 65534
    with tempfile.TemporaryDirectory() as place:
        bundle = shutil.copytree(bundle_of(("onnxruntime", "static_int8", 0.8, 0.0)), Path(place, "its own", "bundle"))
        for folder in (Path(place), bundle.parent, bundle):
            folder.chmod(0o755)
        Image.fromarray(validation.images[0][0]).save(bundle.parent / "one.png")
        command = [sys.executable, "-I", bundle / "run.py", bundle.parent / "one.png", "--json"]
        whoever = {"user": nobody, "group": nobody, "extra_groups": [], "cwd": "/", "env": {"HOME": "/nonexistent"}}
        try:
            subprocess.run([sys.executable, "-I", "-c", "import numpy"], check=True, capture_output=True, **whoever)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("another user cannot reach this Python")
        done = subprocess.run(command, capture_output=True, text=True, **whoever)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] in [str(digit) for digit in range(10)]
