"""The documentation is of this program: pages, commands, links, paths and the code of the walks."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from explorer.system.plugins import Registry

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
IDS = [str(path.relative_to(ROOT)) for path in PAGES]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def module_of(file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def walk(tmp_path, monkeypatch):
    """`walk(page, name)`: the module whose code a page has under that name, importable."""

    def load(page: str, name: str) -> ModuleType:
        (code,) = [block for block in blocks(ROOT / page, "python") if block.startswith(f"# {name}.py\n")]
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        return module_of(tmp_path / f"{name}.py", monkeypatch)

    return load


def test_command_pages_are_those_of_the_command_line(monkeypatch):
    made = module_of(DOCS / "make_commands.py", monkeypatch).pages()
    found = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "commands").glob("*.md")}
    assert found == made, "make them again: python docs/make_commands.py"


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_links_lead_somewhere(path):
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", path.read_text(encoding="utf-8")):
        file = (path.parent / target).resolve() if target else path
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings], anchor


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_paths_that_are_named_exist(path):
    for name in re.findall(r"`((?:explorer|tests|benchmarks|docs|search_spaces)/[\w./-]*)`", path.read_text("utf-8")):
        assert (ROOT / name).exists(), name


def test_map_has_every_folder_of_the_package():
    rooms = {path.name for path in (ROOT / "explorer").iterdir() if (path / "__init__.py").is_file()}
    assert rooms == set(
        re.findall(r"^\| `explorer/(\w+)/`", (DOCS / "house.md").read_text("utf-8"), flags=re.MULTILINE)
    )


def test_commands_of_the_pages_run(tmp_path):
    shutil.copytree(ROOT / "studies" / "reference", tmp_path / "studies" / "reference")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    lines = [line.split("  #")[0].strip() for page in DOCS.rglob("*.md") for block in blocks(page, "sh")
             for line in block.splitlines()]  # fmt: skip
    assert len(lines) >= 5
    for line in dict.fromkeys(lines):
        assert line.startswith("explore "), line
        done = subprocess.run(
            shlex.split(line),
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_walk_of_a_runtime_gives_the_networks_logits(walk, monkeypatch, tmp_path, images):
    import torch

    from explorer.models.slimmable_cnn import build
    from explorer.runtimes.runtime import RUNTIMES, ExportJob, runtime
    from explorer.runtimes.untrusted.files import UnsafeFile

    walk("CONTRIBUTING.md", "onnx_reference_loading")
    walk("CONTRIBUTING.md", "onnx_reference")
    monkeypatch.setitem(RUNTIMES._places, "onnx_reference", "onnx_reference:OnnxReference")
    plugin = runtime("onnx_reference")
    assert plugin.missing() is None
    assert set(plugin.software()) == {"onnx"}
    torch.manual_seed(0)
    network = build(10, (3, 16, 16), [120.0] * 3, [60.0] * 3).materialize(0.25)
    written = plugin.export(ExportJob(network, False, "none", images[:4], tmp_path / "scratch"), tmp_path)
    (segment,) = plugin.load([tmp_path / one.file for one in written], 1, "none")
    plugin.check((tmp_path / plugin.segment_name(0)).read_bytes())
    with pytest.raises(UnsafeFile):
        plugin.check(b"no model")
    with torch.no_grad():
        expected = network(torch.from_numpy(images[:2]))[-1].numpy()
    np.testing.assert_allclose(segment(images[:2])[0], expected, atol=1e-4 * max(1.0, abs(expected).max()))


def test_walk_of_a_data_set_can_be_prepared(walk, monkeypatch, tmp_path):
    from explorer.data.preparing import prepare
    from explorer.data.source import DATASETS, input_shape, locate
    from explorer.data.splits import split
    from explorer.space.values import DataSettings
    from explorer.tasks.classification import Classification

    walk("docs/extending.md", "stripes")
    monkeypatch.setattr(DATASETS, "_places", {**DATASETS, "stripes": "stripes"})
    settings = DataSettings("stripes", validation=100, calibration=50)
    source = locate(settings, tmp_path)
    dataset = prepare(settings, tmp_path, lambda _: None)
    assert input_shape(source) == dataset.input_shape == (1, 16, 16)
    assert dataset.facts["classes"] == ["horizontal", "vertical"]
    assert len(split(dataset, settings, Classification()).validation) == 100


def test_walk_of_a_family_of_another_package_is_a_network_with_its_parameters(walk, monkeypatch, tmp_path):
    import torch

    from explorer.models.base import BaseNetwork
    from explorer.models.registry import family_named
    from explorer.records import Variant

    walk("docs/extending.md", "two_layers")
    package = tmp_path / "two_layers-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: two-layers\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[pareto_explorer.families]\ntwo_layers = two_layers:FAMILY\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("explorer.models.registry.FAMILIES", Registry("families", {}))
    family = family_named("two_layers")
    network = family.build(7, (1, 8, 8), [120.0], [60.0])
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert [tuple(logits.shape) for logits in network(images)] == [(5, 7)]
    base = BaseNetwork("two_layers", 7, "fingerprint", {}, network)
    sizes = [sum(p.numel() for p in base.materialize(Variant(width=width)).parameters()) for width in (0.25, 0.5, 1.0)]
    assert sizes == sorted(set(sizes))
    narrow = base.materialize(Variant(width=0.5))
    assert torch.equal(narrow(images)[0], network.eval()(images, 0.5)[0])
