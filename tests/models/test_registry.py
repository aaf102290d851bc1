"""The registry of families: every entry can be built, and asking needs no torch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as parse
from safetensors.torch import save

from explorer.errors import ExplorerError, ModelError, UsageError
from explorer.models import registry as shipped_module
from explorer.models.base import BaseNetwork, TrainingData
from explorer.models.network import recalibrate
from explorer.models.recipes import RECIPES
from explorer.models.registry import FAMILIES, family_named, is_own, shipped, source_file
from explorer.models.shipped import load_shipped, write_shipped
from explorer.models.slimmable_cnn import build
from explorer.records import Variant

NAME = "cifar10_slimmable_cnn"
HALF = Variant(width=0.5)


def data(seed: int = 0) -> TrainingData:
    images = np.random.default_rng(seed).integers(0, 256, (48, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(48) % 3
    return TrainingData(images, labels, images[:10], labels[:10], 3, (9.0,) * 3, (8.0,) * 3, "data", "splits")


def trained() -> BaseNetwork:
    torch.manual_seed(0)
    network = build(3, (3, 16, 16), [127.0] * 3, [70.0] * 3)
    recalibrate(network, data().inputs)
    return BaseNetwork("slimmable_cnn", 3, "f", {"recipe": {"name": "tiny"}}, network)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    family = replace(family_named("slimmable_cnn"), weights=tmp_path)
    monkeypatch.setattr(shipped_module, "family_named", lambda name: family)
    write_shipped(tmp_path, NAME, trained(), data(), {"data": "noise"})
    return tmp_path


def test_load_shipped_gives_the_network_that_was_written_to_half_precision(folder: Path) -> None:
    loaded, original = load_shipped("slimmable_cnn", "cifar10", data()), trained()
    images = torch.from_numpy(data().inputs)

    assert loaded.card["recipe"] == {"name": "tiny"}
    assert loaded.card["data"] == "noise"
    for found, expected in zip(loaded.materialize(HALF)(images), original.materialize(HALF)(images), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=0.01, rtol=0.01)


def test_load_shipped_normalizes_as_it_was_trained_not_by_the_data_at_hand(folder: Path) -> None:
    network = load_shipped("slimmable_cnn", "cifar10", data()).materialize(Variant())

    assert network.state_dict()["segments.0.body.0.mean"].flatten().tolist() == [127.0] * 3


def test_write_shipped_takes_half_the_space(folder: Path) -> None:
    full = sum(t.numel() * 4 for t in trained().network.state_dict().values())  # type: ignore[attr-defined]

    assert (folder / f"{NAME}.safetensors").stat().st_size < 0.6 * full


def test_load_shipped_refuses_validation_images_that_it_was_trained_on(folder: Path) -> None:
    with pytest.raises(UsageError, match="trained on"):
        load_shipped("slimmable_cnn", "cifar10", data(seed=1))


@pytest.mark.parametrize("position", [10, -10])
def test_shipped_of_changed_bytes_is_refused_with_the_remedy(folder: Path, position: int) -> None:
    path = folder / f"{NAME}.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)

    with pytest.raises(ExplorerError, match=r"damaged: expected the SHA-256 .* install the package again"):
        shipped("slimmable_cnn", "cifar10")


@pytest.mark.parametrize("card", [None, "", "[]", "{}"])
def test_shipped_without_a_card_is_refused_with_the_remedy(folder: Path, card: str | None) -> None:
    path = folder / f"{NAME}.json"
    path.unlink() if card is None else path.write_text(card)

    with pytest.raises(ExplorerError, match="install the package again"):
        shipped("slimmable_cnn", "cifar10")


@pytest.mark.parametrize(
    ("dataset", "recipe", "n_bytes", "command"),
    [
        ("cifar10", "shipped", 8_000_000, "benchmarks/shipped_weights.py table"),
        ("cluttered_digits", "long", 1_000_000, "benchmarks/shipped_weights.py --data cluttered_digits table"),
    ],
)
def test_shipped_files_of_the_package_are_whole_small_and_described(
    dataset: str, recipe: str, n_bytes: int, command: str
) -> None:
    found = shipped("slimmable_cnn", dataset)

    assert len(found.content) <= n_bytes
    assert found.card["recipe"]["name"] == recipe
    assert json.dumps(found.card["sha256"])[1:-1] in found.path.with_suffix(".md").read_text()
    assert command in found.path.with_suffix(".md").read_text()


def test_shipped_weights_of_the_package_are_all_that_the_family_names() -> None:
    named = {f"{dataset}_{name}" for name in FAMILIES for dataset in family_named(name).traits.shipped}
    assert named == {path.stem for path in shipped_module.FOLDER.glob("*.safetensors")}


@pytest.mark.parametrize(
    ("dataset", "shape", "n_held_out"), [("cifar10", (3, 32, 32), 5000), ("cluttered_digits", (1, 15, 15), 2000)]
)
def test_shipped_weights_of_the_package_fit_the_family_and_its_version(
    dataset: str, shape: tuple[int, int, int], n_held_out: int
) -> None:
    found = shipped("slimmable_cnn", dataset)
    network = build(10, shape, [0.0] * shape[0], [1.0] * shape[0])
    tensors = parse(found.content)
    held_out = tensors.pop("held_out")
    network.load_state_dict(tensors)

    assert found.card["version"] == family_named("slimmable_cnn").version
    assert held_out.shape == (n_held_out, 4 * shape[0])
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors.values())


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04K\x01.", b"\x08" + bytes(7) + b'{"a":{}}', save({"a": torch.ones(1)})]
)
def test_load_shipped_of_other_content_with_its_own_sha256_is_refused_with_the_remedy(
    folder: Path, content: bytes
) -> None:
    card = {"sha256": hashlib.sha256(content).hexdigest()}
    (folder / f"{NAME}.safetensors").write_bytes(content)
    (folder / f"{NAME}.json").write_text(json.dumps(card))

    with pytest.raises(ExplorerError, match=r"(?s)the shipped weights .* do not read .* install the package again"):
        load_shipped("slimmable_cnn", "cifar10", data())


RAISING = "raise RuntimeError('this must not run')\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_source_file_in_the_current_directory_is_found_before_any_other(here, tmp_path, monkeypatch):
    for folder in (here, tmp_path):
        (folder / "nets_of_mine.py").write_text(RAISING)
    monkeypatch.syspath_prepend(str(tmp_path))

    assert source_file("nets_of_mine:make") == here / "nets_of_mine.py"
    assert "nets_of_mine" not in sys.modules


@pytest.mark.parametrize(
    ("model", "file"),
    [("box.nets:make", "box/nets.py"), ("box:make", "box/__init__.py"), ("box.a.b.c:make", "box/a/b/c.py")],
)
def test_source_file_in_a_package_is_found_without_running_the_package(here, model, file):
    (here / "box" / "a" / "b").mkdir(parents=True)
    for name in ("__init__.py", "nets.py", "a/b/c.py"):
        (here / "box" / name).write_text(RAISING)

    assert source_file(model) == here / file
    assert not {"box", "box.nets"} & sys.modules.keys()


def test_source_file_of_an_installed_package_is_its_file(here):
    assert source_file("torch.nn:Identity") == Path(sys.modules["torch"].__file__).parent / "nn" / "__init__.py"


@pytest.mark.parametrize(
    "model", ["there_is_none:make", "box.none:make", "sys:exit", "../x:y", "a..b:c", ":make", "a\x00b:c", "x" * 5000]
)
def test_source_file_that_is_nowhere_is_none(here, model):
    (here / "box").mkdir()

    assert source_file(model) is None


def test_is_own_is_what_names_a_function():
    assert [is_own(model) for model in ("nets:make", "slimmable_cnn")] == [True, False]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_family_traits_hold_for_what_the_family_builds(name: str) -> None:
    facts = family_named(name).traits
    widths = family_named(name).widths
    network = family_named(name).build(7, (3, 16, 16), [1.0] * 3, [2.0] * 3)
    images = torch.zeros((2, 3, 16, 16), dtype=torch.uint8)

    plain = network.materialize((widths.minimum,) * widths.n_stages)
    assert (len(plain.segments) > 1) == any(
        not spec.expected(0.5) for spec in facts.parameters if spec.name == "exit_threshold"
    )
    assert all(logits.shape == (2, 7) for logits in plain(images))
    assert set(facts.recipes) == set(RECIPES)
    with pytest.raises(ValueError, match="width"):
        network.materialize(widths.minimum / 2)


def test_family_named_unknown_family_suggests_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'slimmable_cnn'"):
        family_named("slimable_cnn")


@pytest.mark.parametrize("version", [0, True, "1", "", None, 1.0, object()])
def test_family_with_a_version_that_is_no_whole_number_is_refused(version: object) -> None:
    with pytest.raises(TypeError, match="expected the family's version as a whole number from 1 on, got"):
        replace(family_named("slimmable_cnn"), version=version)


@pytest.mark.parametrize("module", ["registry", "recipes", "base"])
def test_import_of_what_the_coordinator_needs_loads_no_torch(module: str) -> None:
    code = f"import sys, explorer.models.{module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
