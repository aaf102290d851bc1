"""The figures of the shipped weights, and how they came to be files of the package.

    EXPLORER_DATA=... python benchmarks/shipped_weights.py table      the model card's tables, on the test split
    ... pack        the trained weights in the cache (`explore train search_spaces/cnn.yaml --recipe shipped`), shipped
    ... thresholds  accuracy and mean MACs against the exit threshold, on the validation split
    ... recovery    accuracy against recovery steps after pruning, on the validation split
    ... alone       four widths against the same networks trained alone with the same recipe: hours; it resumes,
                    and processes with other --widths may run beside it
    ... --data cluttered_digits table     the same for the embedded study's weights: all but `alone`, without
                    EXPLORER_DATA (`explore train search_spaces/digits.yaml --recipe long`)

Nothing is chosen by the test split: only `table` and `alone` look at it, and they only print.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from explorer.build.count import mega_macs, n_parameters
from explorer.build.prune import prune
from explorer.build.recover import RecoveryBatches, recover
from explorer.data.dataset import Dataset
from explorer.data.preparing import prepare
from explorer.data.splits import split
from explorer.errors import VariantFailed
from explorer.models.base import BaseNetwork, TrainingData
from explorer.models.network import StagedNetwork, recalibrate
from explorer.models.recipes import RECIPES
from explorer.models.registry import FOLDER, family_named
from explorer.models.sandwich import autocast
from explorer.models.shipped import load_shipped, write_shipped
from explorer.models.slimmable_cnn import architecture_for, plain_network
from explorer.models.store import load_or_train, trained_teacher
from explorer.models.training import Settings, train
from explorer.records import Progress, Variant, Width
from explorer.runtimes.runtime import ExportJob, runtime
from explorer.space.values import DataSettings
from explorer.system import environment
from explorer.system.files import write_bytes
from explorer.system.hashing import cache_root, content_key
from explorer.tasks.classification import Classification
from explorer.tasks.classification_files import confidence

MODEL = "slimmable_cnn"
DATA = {  # as the search spaces have them, and the recipe of the weights
    "cifar10": (DataSettings("cifar10", 5000, 512, None), "shipped"),
    "cluttered_digits": (DataSettings("cluttered_digits", 2000, 256, None), "long"),
}
WIDTHS = (1.0, 0.75, 0.5, 0.25)
PER_STAGE: tuple[Width, ...] = ((1.0, 0.5, 0.5), (0.5, 1.0, 0.5), (0.5, 0.5, 1.0), (0.25, 0.5, 0.5), (0.5, 0.5, 0.25))
N_RECALIBRATION, RECALIBRATION_BATCH = 2048, 256  # as the builder does
STEPS, RATIOS = (0, 15, 30, 60, 120), (0.2, 0.4, 0.6)
REFERENCES = (
    ("ShuffleNetV2 ×0.5", 90.13, 10.9),
    ("MobileNetV2 ×0.5", 92.88, 28.0),
    ("ResNet-20", 92.6, 40.8),
    ("MobileNetV2 ×0.75", 93.72, 59.0),
    ("ResNet-56", 94.37, 126.0),
)


class World:
    """The data, and the weights that are judged."""

    def __init__(self, name: str) -> None:
        settings, self.recipe = DATA[name]
        self.dataset: Dataset = prepare(settings, None, lambda _: None)
        splits = split(self.dataset, settings, Classification())
        self.data = TrainingData(
            inputs=self.dataset.train_inputs[splits.training],
            targets=self.dataset.train_targets[splits.training],
            validation_inputs=np.load(splits.examples.inputs),
            validation_targets=np.load(splits.examples.targets),
            n_outputs=len(self.dataset.facts["classes"]),
            mean=self.dataset.mean,
            std=self.dataset.std,
            fingerprint=self.dataset.fingerprint,
            splits_fingerprint=splits.training_fingerprint(),
        )
        self.calibration = np.load(splits.calibration_inputs)
        step = len(self.data.inputs) // N_RECALIBRATION
        self.recalibration = self.data.inputs[::step][:N_RECALIBRATION]

    @property
    def test(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return self.dataset.test_inputs, self.dataset.test_targets

    @property
    def validation(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        return self.data.validation_inputs, self.data.validation_targets

    def shipped(self) -> BaseNetwork:
        return load_shipped(MODEL, self.dataset.name, self.data)

    def trained(self) -> BaseNetwork:
        return load_or_train(MODEL, self.data, self.recipe, show)

    def network(self, base: BaseNetwork, width: Width) -> StagedNetwork:
        """As the builder makes it: the base network's own statistics are right for the widest."""
        network = base.materialize(Variant(width=width))
        if width != 1.0:
            with autocast(torch.device("cpu")):
                recalibrate(network, self.recalibration, RECALIBRATION_BATCH)
        return network


def show(progress: Progress) -> None:
    print(f"\r{progress.stage} {progress.done:.0f}/{progress.total or 0:.0f} {progress.note}", end="", flush=True)


@torch.inference_mode()
def all_logits(network: StagedNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits of every exit, [exits, n, k]."""
    batches = [network(torch.from_numpy(np.array(images[i : i + 250]))) for i in range(0, len(images), 250)]
    return np.stack([torch.cat(exits).numpy() for exits in zip(*batches, strict=True)])


def accuracies(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> list[float]:
    """Percent, of each exit."""
    return [float(100 * (exit_.argmax(1) == labels).mean()) for exit_ in logits]


def name_of(width: Width) -> str:
    return " / ".join(f"{w:g}" for w in width) if isinstance(width, tuple) else f"{width:g}"


def path_macs(network: StagedNetwork, shape: tuple[int, int, int]) -> list[float]:
    """10^6 MACs of an image that leaves at each exit, the heads that it passed included; last, without any exits."""
    image = torch.zeros((1, *shape), dtype=torch.uint8)
    return [*np.cumsum(mega_macs(network, image)).tolist(), sum(mega_macs(network.without_exits(), image))]


def leave_at(logits: NDArray[np.float32], threshold: float) -> NDArray[np.int64]:
    """The exit [n] of each image."""
    leaves = confidence(logits) >= threshold
    leaves[-1] = True
    return np.asarray(leaves.argmax(0))


def staged(logits: NDArray[np.float32], labels: NDArray[np.int64], macs: list[float], threshold: float) -> Any:
    """(accuracy in percent, mean MACs relative to the network without exits, share of images per exit)."""
    exits = leave_at(logits, threshold)
    right = logits.argmax(2)[exits, np.arange(len(labels))] == labels
    shares = np.bincount(exits, minlength=len(logits)) / len(labels)
    return 100 * right.mean(), float(shares @ macs[:-1]) / macs[-1], shares


def table(world: World) -> None:
    """The model card's tables."""
    base = world.shipped()
    images, labels = world.test
    print(f"Test accuracy in percent on {world.dataset.name} ({world.dataset.kind}), {len(labels)} images.\n")
    print(
        "| width | parameters | MACs, 10^6 | exit 1 | exit 2 | final | MACs to exit 1 | to exit 2 | to the final head |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for width in (*WIDTHS, *PER_STAGE):
        network = world.network(base, width)
        first, second, last = accuracies(all_logits(network, images), labels)
        *macs, alone = path_macs(network, world.dataset.input_shape)
        print(
            f"| {name_of(width)} | {n_parameters(network):,} | {alone:.1f} | {first:.2f} | {second:.2f} | {last:.2f} | "
            + " | ".join(f"{m:.1f}" for m in macs)
            + " |"
        )
    print("\nMACs are those of the network without early exits; to an exit, those of the heads on the way are added.\n")
    _early_exit(world, base)
    _int8(world, base)
    if world.dataset.name == "cifar10":
        print(
            "\nPublished, official CIFAR-10: " + "; ".join(f"{n} {a} % at {m:g} M MACs" for n, a, m in REFERENCES) + "."
        )


def _early_exit(world: World, base: BaseNetwork) -> None:
    network = world.network(base, 1.0)
    macs = path_macs(network, world.dataset.input_shape)
    logits, (_, labels) = all_logits(network, world.validation[0]), world.validation
    final = accuracies(logits, labels)[-1]
    fits = [t for t in np.arange(0.3, 1.0, 0.005) if staged(logits, labels, macs, t)[0] >= final - 0.1]
    threshold = min(fits, key=lambda t: staged(logits, labels, macs, t)[1])
    on_test = all_logits(network, world.test[0])
    accuracy, share, exits = staged(on_test, world.test[1], macs, threshold)
    without = accuracies(on_test, world.test[1])[-1]
    print(
        f"Early exit, width 1.0, threshold {threshold:.3f} (chosen on validation for a loss of at most 0.1 point): "
        f"mean MACs {share:.3f} × those without exits, {accuracy:.2f} % against {without:.2f} %; images per exit "
        + ", ".join(f"{100 * s:.0f} %" for s in exits)
        + "."
    )


def _int8(world: World, base: BaseNetwork) -> None:
    plugin = runtime("onnxruntime")
    found = {}
    images, labels = world.test
    with tempfile.TemporaryDirectory() as place:
        for quantization in ("none", "static_int8"):
            folder = Path(place, quantization)
            folder.mkdir()
            job = ExportJob(world.network(base, 1.0), False, quantization, world.calibration, Path(place, "scratch"))
            files = plugin.export(job, folder)
            (segment,) = plugin.load([folder / file.file for file in files], 2, quantization)
            made = np.concatenate([segment(images[i : i + 100])[0] for i in range(0, len(images), 100)])
            found[quantization] = 100 * float((made.argmax(1) == labels).mean())
    print(f"\nONNX Runtime, width 1.0: float32 {found['none']:.2f} %, static int8 {found['static_int8']:.2f} %.")


def thresholds(world: World) -> None:
    """Validation accuracy and mean MACs of each threshold, by width."""
    base = world.shipped()
    print("| width | threshold | accuracy, % | mean MACs, × | share of images per exit, % |\n|---|---|---|---|---|")
    for width in WIDTHS:
        network = world.network(base, width)
        macs, labels = path_macs(network, world.dataset.input_shape), world.validation[1]
        logits = all_logits(network, world.validation[0])
        for threshold in (*np.arange(0.4, 1.0, 0.05), 1.1):
            accuracy, share, exits = staged(logits, labels, macs, threshold)
            shown = ", ".join(f"{100 * s:.0f}" for s in exits)
            print(f"| {name_of(width)} | {threshold:.2f} | {accuracy:.2f} | {share:.3f} | {shown} |", flush=True)


def recovery(world: World) -> None:
    """Validation accuracy of the final head after pruning and recovery."""
    base = world.shipped()
    images, labels = world.validation
    teacher = world.network(base, 1.0)
    print("| width | pruning ratio | MACs, 10^6 | " + " | ".join(f"{n} steps" for n in STEPS) + " |")
    print("|---|---|---|" + "---|" * len(STEPS))
    drawn = {n: RecoveryBatches.prepare(teacher, Classification(), world.data.inputs, n) for n in STEPS if n}
    for width in (1.0, 0.5, 0.25):
        for ratio in RATIOS:
            try:
                pruned = prune(base.materialize(Variant(width=width)), ratio, torch.from_numpy(world.data.inputs[:2]))
            except VariantFailed:
                continue
            cells = []
            for n in STEPS:
                network = recover(pruned, drawn[n], lambda *_: None) if n else pruned
                with autocast(torch.device("cpu")):
                    recalibrate(network, world.recalibration, RECALIBRATION_BATCH)
                cells.append(f"{accuracies(all_logits(network, images), labels)[-1]:.2f}")
            macs = path_macs(pruned, world.dataset.input_shape)[-1]
            print(f"| {width:g} | {ratio:g} | {macs:.1f} | " + " | ".join(cells) + " |", flush=True)


class Alone(nn.Module):
    """A plain network that is trained as if it were the widest."""

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, width: Width = 1.0) -> list[Tensor]:
        return self.network(images)  # type: ignore[no-any-return]


class Remembered(nn.Module):
    """A teacher that is asked once for each batch, whose answers are files of `folder`: with one seed, the networks of
    all widths see the same batches.
    """

    def __init__(self, teacher: nn.Module, folder: Path) -> None:
        super().__init__()
        self.teacher, self.folder = teacher, folder

    def forward(self, images: Tensor) -> list[Tensor]:
        file = self.folder / f"{hashlib.blake2b(images.cpu().numpy().tobytes(), digest_size=16).hexdigest()}.npy"
        if not file.is_file():
            content = io.BytesIO()
            np.save(content, self.teacher(images)[-1].float().cpu().numpy())
            write_bytes(file, content.getvalue())
        return [torch.from_numpy(np.load(file)).to(images.device)]


def alone(world: World, widths: Sequence[float]) -> None:
    """Each width trained from nothing, as many epochs as the shared weights and by the same teacher, beside these."""
    base = world.shipped()
    recipe = replace(
        RECIPES[world.recipe],
        name="alone",
        cycles=tuple(replace(c, widest_share=1.0) for c in RECIPES[world.recipe].cycles),
    )
    images, labels = world.test
    architecture = architecture_for(world.dataset.input_shape, len(world.dataset.facts["classes"]))
    place = cache_root() / "alone"
    place.mkdir(parents=True, exist_ok=True)
    of = content_key({"recipe": str(recipe), "data": world.data.fingerprint, "splits": world.data.splits_fingerprint})
    trained, _ = trained_teacher(place / of, world.data, recipe, 0, show)
    teacher = None if trained is None else Remembered(trained, place / f"{of}.opinions")
    print("| width | shared | alone | seconds alone |\n|---|---|---|---|")
    for width in widths:
        torch.manual_seed(0)
        network = plain_network(architecture, list(world.data.mean), list(world.data.std), width)
        key = f"{of}-{width:g}"
        learner, rule = Alone(network), family_named(MODEL).widths
        settings = Settings(recipe, 0, rule.minimum, rule.n_stages, teacher)
        seconds = train(learner, world.data, settings, place / f"{key}.safetensors", key, show)
        recalibrate(network.to(memory_format=torch.contiguous_format), world.recalibration, RECALIBRATION_BATCH)
        shared = accuracies(all_logits(world.network(base, width), images), labels)[-1]
        by_itself = accuracies(all_logits(network, images), labels)[-1]
        print(f"\r| {width:g} | {shared:.2f} | {by_itself:.2f} | {seconds:.0f} |", flush=True)


def pack(world: World) -> None:
    """Write the package's files from the cache."""
    title = {"cifar10": "CIFAR-10", "cluttered_digits": "cluttered digits"}[world.dataset.name]
    data = f"{title} ({world.dataset.kind.removesuffix(' tree')})"
    facts = {"data": data, "hardware": environment.processor(), "python": platform.python_version()}
    name = f"{world.dataset.name}_{MODEL}"
    write_shipped(FOLDER, name, world.trained(), world.data, facts)
    for path in sorted(FOLDER.glob(f"{name}.*")):
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")


COMMANDS: dict[str, Callable[[World], None]] = {
    function.__name__: function for function in (table, pack, thresholds, recovery)
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=sorted(DATA), default="cifar10")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in COMMANDS:
        commands.add_parser(name)
    commands.add_parser("alone").add_argument("--widths", type=float, nargs="+", default=sorted(WIDTHS))
    arguments = parser.parse_args()
    if arguments.command == "alone":
        alone(World(arguments.data), arguments.widths)
    else:
        COMMANDS[arguments.command](World(arguments.data))
