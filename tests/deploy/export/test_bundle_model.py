"""run.py alone, in an environment that has the packages of requirements.txt and nothing else."""

from __future__ import annotations

import ast
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

from explorer.deploy.export import bundle_model
from explorer.deploy.export.bundle import bundle_code
from explorer.runtimes import staged
from explorer.runtimes.runtime import RUNTIMES, runtime
from explorer.study.store.samples import trial_outputs
from explorer.tasks.task import task_named


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
    assert [answer["label"] for answer in answers] == [str(label) for label in outputs.answers.argmax(axis=1)]
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
        assert made["logits"].argmax(axis=1).tolist() == outputs.answers.argmax(axis=1).tolist()


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
def test_bundle_code_is_the_source_that_was_measured_byte_for_byte(name):
    plugin, task = runtime(name), task_named("classification")
    code = bundle_code(plugin, task)
    modules = {"staged": staged, "loading": plugin.loading, "files": task.files, "bundle_model": bundle_model}
    assert set(code) == {"run.py", *(f"lib/{part}.py" for part in modules)}
    for part, module in modules.items():
        assert code[f"lib/{part}.py"] == Path(module.__file__).read_bytes()


@pytest.mark.parametrize("name", RUNTIMES)
def test_bundle_code_imports_nothing_of_this_package(name):
    for path, content in bundle_code(runtime(name), task_named("classification")).items():
        for node in ast.walk(ast.parse(content, path)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "explorer"] if isinstance(node, ast.ImportFrom) else []
            assert not [one for one in names if one.partition(".")[0] == "explorer"], path


def test_run_py_leaves_the_bundle_as_it_is(whole, tmp_path):
    """A folder of compiled files would be one that no manifest has."""
    bundle = shutil.copytree(whole, tmp_path / "bundle")
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    before = sorted(bundle.rglob("*"))
    subprocess.run([sys.executable, bundle / "run.py", tmp_path / "one.png"], check=True, capture_output=True)
    assert sorted(bundle.rglob("*")) == before


def test_run_py_of_two_bundles_in_one_process_stay_apart(whole, tmp_path):
    """Each has modules of its own, though they have the same names."""
    code = (
        "import importlib.util as u, sys;"
        "specs = [u.spec_from_file_location(f'run{i}', p + '/run.py') for i, p in enumerate(sys.argv[1:])];"
        "made = [u.module_from_spec(spec) for spec in specs];"
        "[spec.loader.exec_module(one) for spec, one in zip(specs, made)];"
        "print(*(one.PARTS['staged'].__file__ if hasattr(one.PARTS['staged'], '__file__') else "
        "one.PARTS['staged'].__name__ for one in made))"
    )
    other = shutil.copytree(whole, tmp_path / "other")
    done = subprocess.run([sys.executable, "-c", code, whole, other], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{bundle.resolve()}/lib/staged.py" for bundle in (whole, other)]


def test_run_py_json_of_a_file_that_is_no_image_has_the_error(whole, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no image")
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    command = [sys.executable, whole / "run.py", tmp_path / "broken.png", tmp_path / "good.png", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    broken, good = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 1
    assert broken["exit"] is None
    assert "not an image" in broken["error"]
    assert set(good) == {"file", "label", "probability", "exit", "error"}
    assert good["error"] is None


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
