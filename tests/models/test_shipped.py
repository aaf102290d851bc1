"""The weights of the package: read whole or refused; and what is written is what is read."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from explorer.errors import ExplorerError, UsageError
from explorer.models import shipped as shipped_module
from explorer.models import store
from explorer.models.base import BaseNetwork
from explorer.models.batch_norm import recalibrate
from explorer.models.registry import traits
from explorer.models.shipped import shipped
from explorer.models.slimmable_cnn import build
from explorer.models.store import load_shipped, write_shipped
from explorer.models.training_data import TrainingData

NAME = traits("slimmable_cnn").shipped["cifar10"]


def data(seed: int = 0) -> TrainingData:
    images = np.random.default_rng(seed).integers(0, 256, (48, 3, 16, 16), dtype=np.uint8)
    labels = np.arange(48) % 3
    return TrainingData(images, labels, images[:10], labels[:10], 3, (9.0,) * 3, (8.0,) * 3, "data", "splits")


def trained() -> BaseNetwork:
    torch.manual_seed(0)
    network = build(3, (3, 16, 16), [127.0] * 3, [70.0] * 3)
    recalibrate(network, data().images)
    return BaseNetwork("slimmable_cnn", 3, "f", {"recipe": {"name": "tiny"}}, network)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shipped_module, "FOLDER", tmp_path)
    write_shipped(tmp_path, NAME, trained(), data(), {"data": "noise"})
    return tmp_path


def test_load_shipped_gives_the_network_that_was_written_to_half_precision(folder: Path) -> None:
    loaded, original = load_shipped("slimmable_cnn", "cifar10", data()), trained()
    images = torch.from_numpy(data().images)

    assert loaded.card["recipe"] == {"name": "tiny"}
    assert loaded.card["data"] == "noise"
    for found, expected in zip(loaded.materialise(0.5)(images), original.materialise(0.5)(images), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, atol=0.01, rtol=0.01)


def test_load_shipped_normalizes_as_it_was_trained_not_by_the_data_at_hand(folder: Path) -> None:
    network = load_shipped("slimmable_cnn", "cifar10", data()).materialise(1.0)

    assert network.state_dict()["segments.0.body.0.mean"].flatten().tolist() == [127.0] * 3


def test_write_shipped_takes_half_the_space(folder: Path) -> None:
    full = sum(t.numel() * 4 for t in trained().network.state_dict().values())  # type: ignore[attr-defined]

    assert (folder / f"{NAME}.safetensors").stat().st_size < 0.6 * full


def test_load_shipped_refuses_to_be_judged_by_images_it_was_trained_on(folder: Path) -> None:
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


def test_shipped_files_of_the_package_are_whole_small_and_described() -> None:
    found = shipped("slimmable_cnn", "cifar10")

    assert len(found.content) <= 8_000_000
    assert found.card["recipe"]["name"] == "shipped"
    assert json.dumps(found.card["sha256"])[1:-1] in found.path.with_suffix(".md").read_text()
    assert "benchmarks/shipped_weights.py table" in found.path.with_suffix(".md").read_text()


def test_shipped_weights_of_the_package_fit_the_family_and_its_version() -> None:
    found = shipped("slimmable_cnn", "cifar10")
    network = build(10, (3, 32, 32), [0.0] * 3, [1.0] * 3)
    tensors = store.parse(found.content)
    held_out = tensors.pop("held_out")
    network.load_state_dict(tensors)

    assert found.card["version"] == traits("slimmable_cnn").version
    assert held_out.shape == (5000, 12)
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
