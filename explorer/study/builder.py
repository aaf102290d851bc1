"""The builder: one long-lived process with torch, which prepares the base network and builds artifacts."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.cache import cache_root
from explorer.errors import ExplorerError
from explorer.files import new_folder
from explorer.hashing import content_key
from explorer.measure.answering import Answers, failure_of, serve
from explorer.records import Progress, Stage, Variant
from explorer.runtimes.artifact import Artifact, NetworkFacts, export_model, is_whole_model, store_artifact
from explorer.runtimes.registry import runtime
from explorer.runtimes.runtime import ExportFailed, ExportJob
from explorer.space.values import DataSettings
from explorer.study.termination import stopping_at_a_report, unwinding

if TYPE_CHECKING:
    from explorer.data import Dataset, Splits
    from explorer.models.base import BaseNetwork
    from explorer.models.training_data import TrainingData
    from explorer.variants.materialise import Materialised, Workbench

_EXPORT_VERSION = 4  # raised whenever the same network gives other files
_EXPORTERS = ("torch", "onnx", "onnxscript", "onnxruntime", "torchao")


class Builder:
    """Answers `prepare` once, then `build` for each variant."""

    def __init__(self) -> None:
        self._workbench: Workbench | None = None
        self._splits: Splits | None = None

    def handle(self, request: dict[str, Any], answers: Answers) -> None:
        """Answer one request; whatever goes wrong is answered as a failure."""
        try:
            with unwinding():
                answer = {"prepare": self._prepare, "build": self._build}[request["op"]](request, answers)
        except ExportFailed as error:
            answers.failure(error.kind, str(error))
        except ExplorerError as error:
            answers.failure(type(error).__name__, str(error), error.exit_code)
        except MemoryError:
            answers.failure("out of memory", "the builder ran out of memory")
        except Exception as error:  # torch and the exporters raise anything; it is this trial's failure, in their words
            answers.failure(*failure_of(error, "builder"))
        else:
            answers.result(answer)

    def _prepare(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        """Decode the data, load or train the base network; everything that identifies the study's world."""
        on_progress = _reporter(answers)
        on_progress(Progress("start"))
        from explorer.data import prepare, split
        from explorer.variants.materialise import Workbench

        settings = DataSettings(**request["data"])
        dataset = prepare(settings, Path(request["root"]) if request["root"] else None, on_progress)
        splits = split(dataset, settings)
        data = _training_data(dataset, splits)
        with stopping_at_a_report(on_progress) as on_report:
            base = _base_network(request, dataset.name, data, on_report)
        self._splits = splits
        self._workbench = Workbench(
            base=base,
            images=data.images,
            images_fingerprint=content_key([dataset.fingerprint, splits.training_fingerprint()]),
            n_classes=len(dataset.class_names),
            recovery_steps=request["recovery_steps"],
            cache=cache_root() / "networks",
            on_progress=on_progress,
        )
        return {
            "n_classes": len(dataset.class_names),
            "class_names": list(dataset.class_names),
            "data": {
                "name": dataset.name,
                "kind": dataset.kind,
                "fingerprint": dataset.fingerprint,
                "splits": splits.fingerprint,
                "image_shape": list(dataset.image_shape),
                "n_training": len(splits.training),
                "n_test": len(dataset.test_labels),
            },
            "validation_images": str(splits.validation_images),
            "validation_labels": str(splits.validation_labels),
            "test_images": str(dataset.test_images_path),
            "test_labels": str(dataset.test_labels_path),
            "weights": {"fingerprint": base.fingerprint, "card": dict(base.card)},
        }

    def _build(self, request: dict[str, Any], answers: Answers) -> dict[str, Any]:
        """Build one artifact into the study's folder."""
        assert self._workbench is not None
        assert self._splits is not None
        variant = Variant.from_json(request["variant"])
        answers.phase("build")
        made = self._workbench.materialise(variant)
        stages = list(self._workbench.stages)
        answers.phase("export")
        started = time.perf_counter()
        model, model_key, is_cached = self._exported(variant, made)
        exported = time.perf_counter()
        answers.phase("store")
        artifact = store_artifact(
            model, model_key, variant.runtime, variant.quantization, variant.exit_threshold, Path(request["artifacts"])
        )
        stored = time.perf_counter()
        stages += [Stage("export", exported - started, is_cached), Stage("store", stored - exported)]
        return {
            "artifact": artifact.id,
            "stages": [[stage.name, stage.seconds, stage.is_cached] for stage in stages],
            "network": made.key,
            "memory_bytes": self._memory_bytes(made, artifact),
        }

    def _memory_bytes(self, made: Materialised, artifact: Artifact) -> dict[str, Any]:
        """What the artifact's network needs by calculation, early heads counted only where they are shipped."""
        from explorer.variants.count import memory_bytes

        assert self._workbench is not None
        network = made.network if artifact.n_exits > 1 else made.network.without_exits()
        return memory_bytes(network, self._workbench.images.shape[1:], artifact.facts["n_int8_layers"]).to_json()

    def _exported(self, variant: Variant, made: Materialised) -> tuple[Path, str, bool]:
        """The folder of the exported model, its key, and whether it was there already."""
        import numpy as np

        from explorer.variants.count import mega_macs, n_parameters

        assert self._workbench is not None
        assert self._splits is not None
        plugin = runtime(variant.runtime)
        has_exits = variant.exit_threshold < 1.0 and len(made.network.segments) > 1
        software = {name: version(name) for name in sorted({*_EXPORTERS, *plugin.packages})}
        key = content_key(
            {
                "version": _EXPORT_VERSION,
                "network": made.key,
                "has_exits": has_exits,
                "runtime": variant.runtime,
                "quantization": variant.quantization,
                "calibration": self._splits.fingerprint if variant.quantization == "static_int8" else None,
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
            quantization=variant.quantization,
            calibration=np.load(self._splits.calibration_images),
            scratch=cache_root()
            / "exports"
            / content_key({"version": _EXPORT_VERSION, "network": made.key, "software": software}),
        )
        network = job.shipped()
        facts = NetworkFacts(n_parameters(network), mega_macs(network, self._workbench.images.shape[1:]))
        with new_folder(folder) as draft:
            export_model(job, facts, variant.runtime, draft)
        return folder, key, False


def _training_data(dataset: Dataset, splits: Splits) -> TrainingData:
    import numpy as np

    from explorer.models.training_data import TrainingData

    return TrainingData(
        images=dataset.train_images[splits.training],
        labels=dataset.train_labels[splits.training],
        validation_images=np.load(splits.validation_images),
        validation_labels=np.load(splits.validation_labels),
        n_classes=dataset.n_classes,
        mean=tuple(dataset.mean),
        std=tuple(dataset.std),
        fingerprint=dataset.fingerprint,
        splits_fingerprint=splits.training_fingerprint(),
    )


def _base_network(
    request: dict[str, Any], dataset: str, data: TrainingData, on_progress: Callable[[Progress], None]
) -> BaseNetwork:
    if request["is_shipped"]:
        from explorer.models.store import load_shipped

        return load_shipped(request["model"], dataset, data)
    from explorer.models.base import load_or_train

    return load_or_train(request["model"], data, request["recipe"], on_progress)


def _reporter(answers: Answers) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        values = {"stage": progress.stage, "done": progress.done, "total": progress.total, "note": progress.note}
        answers.progress(values)

    return report


if __name__ == "__main__":
    serve(Builder().handle, lambda request: list(request.get("cores", ())))
