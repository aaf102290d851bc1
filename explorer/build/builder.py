"""The builder: one long-lived process with torch, which prepares the base network and builds artifacts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.data.dataset import Dataset
from explorer.data.preparing import prepare
from explorer.data.splits import Splits, split
from explorer.errors import ExplorerError, VariantFailed
from explorer.models.base import BaseNetwork, TrainingData
from explorer.records import Progress, Stage, Variant
from explorer.runtimes.artifact import export_model, is_whole_model, store_artifact
from explorer.runtimes.int8_range import range_here
from explorer.runtimes.runtime import ExportFailed, ExportJob, runtime
from explorer.space.input_spec import InputSpec
from explorer.space.values import DataSettings
from explorer.system.files import new_folder, write_json
from explorer.system.hashing import cache_root, content_key
from explorer.system.signals import stopping_at_a_report, unwinding
from explorer.system.worker_loop import Answers, failure_of, serve
from explorer.tasks.task import Task, task_named
from explorer.typed_json import to_json

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.build.materialize import Materialized, Workbench

_EXPORT_VERSION = 5  # raised whenever the same network gives other files


class Builder:
    """The handler of requests: `prepare` once, then `build` for each variant."""

    def __init__(self) -> None:
        self._prepared: tuple[Workbench, Splits] | None = None

    def handle(self, request: dict[str, Any], answers: Answers) -> None:
        """Answer one request; every exception is answered as a failure."""
        try:
            with unwinding():
                answer = {"prepare": self._prepare, "build": self._build}[request["op"]](request, answers)
        except (ExportFailed, VariantFailed) as error:
            answers.failure(error.kind, str(error))
        except ExplorerError as error:
            answers.failure(type(error).__name__, str(error), error.exit_code)
        except MemoryError:
            answers.failure("out of memory", "the builder ran out of memory")
        except Exception as error:  # torch and the exporters raise anything; only this trial fails
            answers.failure(*failure_of(error, "builder"))
        else:
            answers.result(answer)

    def _prepare(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        """Decode the data, load or train the base network, and return everything that identifies the study."""

        def on_progress(progress: Progress) -> None:
            answers.progress(asdict(progress))

        on_progress(Progress("start"))
        from explorer.build.materialize import Workbench

        settings, task = DataSettings(**request["data"]), task_named(request["task"])
        dataset = prepare(settings, Path(request["root"]) if request["root"] else None, on_progress)
        splits = split(dataset, settings, task)
        if len(splits.calibration) < settings.calibration:
            note = f"{len(splits.calibration)} {task.noun[1]} calibrate, all there are: fewer than the default"
            on_progress(Progress("data", note=f"{note}, {settings.calibration}"))
        data = _training_data(dataset, splits, task, request["input"])
        with stopping_at_a_report(on_progress) as on_report:
            base = _base_network(request, dataset.name, data, on_report)
        if why := base.card.get("unknown"):
            note = f"{why}, so nothing shows that it is the same network later: nothing of it is taken from the cache"
            on_progress(Progress("network", note=note))
        workbench = Workbench(
            base=base,
            inputs=data.inputs,
            inputs_fingerprint=content_key([dataset.fingerprint, splits.training_fingerprint()]),
            task=task,
            recovery_steps=request["recovery_steps"],
            cache=cache_root() / "networks",
            on_progress=on_progress,
        )
        self._prepared = workbench, splits
        return {
            "task": {"name": task.name, "facts": dict(dataset.facts)},
            "data": {
                "name": dataset.name,
                "kind": dataset.kind,
                "fingerprint": dataset.fingerprint,
                "splits": splits.fingerprint,
                "input": dataset.input_spec(task).to_json(),
                "n_training": len(splits.training),
                "n_test": len(dataset.test_targets),
            },
            "validation": splits.examples.to_json(),
            "test": dataset.test_examples(task.name).to_json(),
            "weights": {"fingerprint": base.fingerprint, "card": dict(base.card)},
            "input": _normalization(base, data, request["input"]) if task.has_pixels else None,
            "references": [one.to_json() for one in task.references(data.validation_targets, dataset.facts)],
            "network_description": _description_file(base),
        }

    def _build(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        """Build one artifact in the study's folder."""
        from explorer.build.count import memory_bytes

        assert self._prepared is not None
        workbench, splits = self._prepared
        variant = Variant.from_json(request["variant"])
        answers.phase("build")
        made = workbench.materialize(variant)
        answers.phase("export")
        started = time.perf_counter()
        example = _example(workbench)
        model, model_key, is_cached = _exported(variant, made, splits, example, workbench.task.input_name)
        exported = time.perf_counter()
        answers.phase("store")
        artifact = store_artifact(model, model_key, variant, Path(request["artifacts"]))
        stored = time.perf_counter()
        export = [Stage("export", exported - started, is_cached), Stage("store", stored - exported)]
        network = made.network if artifact.n_exits > 1 else made.network.without_exits()  # only what is shipped
        return {
            "artifact": artifact.id,
            "stages": to_json([*workbench.stages, *export]),
            "network": made.key,
            "pruned": made.pruned,
            "memory_bytes": to_json(memory_bytes(network, example, artifact.facts.n_int8_layers)),
        }


def _example(workbench: Workbench) -> Tensor:
    """Return an input [1, ...] of zeros."""
    import torch

    return torch.from_numpy(np.zeros_like(workbench.inputs[:1]))


def _exported(
    variant: Variant, made: Materialized, splits: Splits, example: Tensor, input_name: str
) -> tuple[Path, str, bool]:
    """Return the folder of the exported model, its key, and whether it was cached."""
    from explorer.build.count import mega_macs, n_parameters

    plugin = runtime(variant["runtime"])
    has_exits = variant["exit_threshold"] < 1.0 and len(made.network.segments) > 1
    int8_range = range_here()
    software = {name: version(name) for name in sorted({*plugin.exporters, *plugin.packages})}
    key = content_key(
        {
            "version": _EXPORT_VERSION,
            "network": made.key,
            "has_exits": has_exits,
            "variant": variant.key("export"),
            "calibration": splits.fingerprint if variant["quantization"] == "static_int8" else None,
            "int8_range": int8_range if plugin.saturates(variant["quantization"]) else None,
            "software": software,
        }
    )
    folder = cache_root() / "models" / key
    if is_whole_model(folder):
        return folder, key, True
    shutil.rmtree(folder, ignore_errors=True)
    job = ExportJob(
        network=made.network,
        has_exits=has_exits,
        quantization=variant["quantization"],
        calibration=np.load(splits.calibration_inputs),
        scratch=cache_root()
        / "exports"
        / content_key({"version": _EXPORT_VERSION, "network": made.key, "software": software}),
        int8_range=int8_range,
        input_name=input_name,
        variant=variant,
    )
    network = job.shipped()
    with new_folder(folder) as draft:
        export_model(job, n_parameters(network), mega_macs(network, example), variant["runtime"], draft)
    return folder, key, False


def _training_data(dataset: Dataset, splits: Splits, task: Task, stated: dict[str, Any] | None) -> TrainingData:
    """Return the examples and their normalization: the training inputs' statistics unless `input` states others."""
    own = None if stated is None else InputSpec(**stated).statistics(dataset.train_inputs.shape[1])
    mean, std = (dataset.mean, dataset.std) if own is None else own
    return TrainingData(
        inputs=dataset.train_inputs[splits.training],
        targets=dataset.train_targets[splits.training],
        validation_inputs=np.load(splits.examples.inputs),
        validation_targets=np.load(splits.examples.targets),
        n_outputs=task.n_outputs(dataset.facts),
        mean=tuple(mean),
        std=tuple(std),
        fingerprint=dataset.fingerprint,
        splits_fingerprint=splits.training_fingerprint(),
        task=task.name,
    )


def _normalization(base: BaseNetwork, data: TrainingData, stated: dict[str, Any] | None) -> dict[str, Any]:
    """Return the normalization in the network's graph, on the 0 to 1 scale, and the one that the search space states.

    A family's weights bring their own statistics; a user's own network has those that it was loaded with.
    """
    from explorer.models.network import normalization_of

    mean, std = normalization_of(base.materialize(Variant())) if stated is None else (data.mean, data.std)
    on_unit_scale = [[float(f"{value / 255:.6g}") for value in values] for values in (mean, std)]
    return {
        "stated": None if stated is None else str(InputSpec(**stated)),
        "mean": on_unit_scale[0],
        "std": on_unit_scale[1],
    }


def _base_network(
    request: dict[str, Any], dataset: str, data: TrainingData, on_progress: Callable[[Progress], None]
) -> BaseNetwork:
    if request["is_shipped"]:
        from explorer.models.shipped import load_shipped

        return load_shipped(request["model"], dataset, data)
    from explorer.models.store import load_or_train

    return load_or_train(request["model"], data, request["recipe"], on_progress)


def _description_file(base: BaseNetwork) -> str | None:
    """Write the network's description into the cache, and return its path; None for a family."""
    if base.description is None:
        return None
    path = cache_root() / "descriptions" / f"{base.fingerprint}.json"
    if not path.is_file():
        write_json(path, to_json(base.description))
    return str(path)


if __name__ == "__main__":
    serve(Builder().handle, lambda request: list(request.get("cores", ())))
