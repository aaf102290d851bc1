"""Building: the long-lived builder process, started when it is needed and again after it died."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from explorer import errors
from explorer.disk_errors import FAILURE_KIND, heard
from explorer.errors import ExplorerError
from explorer.measure.child import Child, ChildFailed, Stop
from explorer.measure.probing import Validation
from explorer.measure.utilization import work_of
from explorer.records import Progress, Stage, Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.values import SearchSpace
from explorer.study.evaluation import OnProgress

_DEADLINES_S = {"": 900.0, "build": 900.0, "export": 600.0, "store": 300.0}


@dataclass(frozen=True, slots=True)
class Built:
    """What the builder made of a variant: the artifact, the stages, the network's key, the memory that it needs."""

    artifact: Artifact
    stages: tuple[Stage, ...]
    network: str
    memory_bytes: Mapping[str, Any]


@final
class Building:
    """The builder of one study, whose artifacts go to the folder `artifacts`.

    `validation` and `test` are the images to judge artifacts by; None until a builder has started.
    """

    def __init__(self, space: SearchSpace, artifacts: Path, data_root: Path | None, stop: Stop | None) -> None:
        self._artifacts = artifacts
        self._stop = stop
        self._child: Child | None = None
        self.validation: Validation | None = None
        self.test: Validation | None = None
        self._preparation = {
            "op": "prepare",
            "data": asdict(space.data),
            "root": str(data_root) if data_root else None,
            "model": space.model,
            "recipe": space.recipe,
            "is_shipped": space.is_shipped,
            "recovery_steps": space.recovery_steps,
        }

    def start(self, on_progress: OnProgress) -> Mapping[str, Any]:
        """A builder that is ready; returns what it says of data and weights.

        Raises ChildFailed when it cannot start, ExplorerError with its words for why, OSError when the disk is full.
        """
        self._child = Child("explorer.study.builder", self._stop)
        try:
            facts = self._child.ask(self._preparation, _DEADLINES_S, lambda values: on_progress(Progress(**values)))
        except ChildFailed as failed:
            self.close()
            if failed.kind == FAILURE_KIND:
                raise heard(failed.reason) from failed
            kind = getattr(errors, failed.kind, None)
            if isinstance(kind, type) and issubclass(kind, ExplorerError):
                raise kind(failed.reason) from failed
            raise
        except BaseException:
            self.close()
            raise
        with understood("what the builder prepared"):
            self._take(facts)
        return facts

    def build(self, variant: Variant, on_progress: OnProgress) -> Built:
        """Build and store one artifact. Raises ChildFailed, and what `start` raises where it has to start again."""
        if self._child is None or not self._child.is_alive:
            self.close()
            self.start(on_progress)
        assert self._child is not None
        request = {"op": "build", "variant": variant.to_json(), "artifacts": str(self._artifacts)}
        answer = self._child.ask(request, _DEADLINES_S, lambda values: on_progress(Progress(**values)))
        with understood("what the builder built"):
            artifact = Artifact.read(self._artifacts / Path(answer["artifact"]).name)
            stages = tuple(Stage(str(name), float(took), bool(was_kept)) for name, took, was_kept in answer["stages"])
            work_of(artifact.facts, answer["memory_bytes"], [1.0] * artifact.n_exits, variant.batch_size)
            return Built(artifact, stages, str(answer["network"]), answer["memory_bytes"])

    def _take(self, facts: Mapping[str, Any]) -> None:
        """Keep where the images are. Raises LookupError, TypeError."""
        n_classes = facts["n_classes"]
        self.validation = Validation(
            Path(facts["validation_images"]), Path(facts["validation_labels"]), facts["data"]["splits"], n_classes
        )
        # The fingerprint by which `explore export` and `explore verify` know the same logits.
        fingerprint = f"{facts['data']['fingerprint']} test"
        self.test = Validation(Path(facts["test_images"]), Path(facts["test_labels"]), fingerprint, n_classes)

    def processes(self) -> list[int]:
        """The builder's process, if it lives."""
        return [] if self._child is None or not self._child.is_alive else [self._child.process.pid]

    def close(self) -> None:
        """End the builder."""
        if self._child is not None:
            self._child.close()
            self._child = None


@contextmanager
def understood(what: str) -> Iterator[None]:
    """Whatever does not fit while an answer is taken apart makes it none. Raises ChildFailed."""
    try:
        yield
    except (LookupError, TypeError, ValueError, FileNotFoundError) as error:
        raise ChildFailed("bad result", f"{what} does not read: {type(error).__name__}: {error}") from error
