"""Run the long-lived builder process: started when it is needed, and again after it died."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from explorer import errors
from explorer.errors import ExplorerError
from explorer.observation import BuildFacts
from explorer.records import Progress, Stage, Variant
from explorer.runtimes.artifact import Artifact
from explorer.space.values import SearchSpace
from explorer.study.comparability import identity_difference, identity_of, incompatible
from explorer.study.evaluation import OnProgress, Prepared
from explorer.system import environment
from explorer.system.disk_errors import FAILURE_KIND, disk_error_of
from explorer.system.worker_process import Stop, WorkerFailed, WorkerProcess
from explorer.tasks.task import Examples
from explorer.typed_json import from_json

# A network whose function goes through a set of names builds the same in every process.
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
_RESTORE = (
    "no trial was made of that. Change it back and start the study again to go on with it; a network's function has to "
    "give the same network at every call: load its weights from a file, or seed it"
)
_OF_ARTIFACT = (
    "n_layers", "n_int8_layers", "int8_mac_share", "int8_range", "max_logit_difference", "is_batch_invariant"
)  # fmt: skip
_DEADLINES_S = {"": 900.0, "build": 900.0, "export": 600.0, "store": 300.0}


@dataclass(frozen=True, slots=True)
class Built:
    """An artifact, the stages of building it, and what building found."""

    artifact: Artifact
    stages: tuple[Stage, ...]
    facts: BuildFacts


@final
class BuilderProcess:
    """The builder of one study, whose artifacts go to the folder `artifacts`.

    A study has one network and one set of examples, so a restarted builder must prepare the same ones. `validation` and
    `test` are the examples for quality; None until a builder has started.
    """

    def __init__(self, space: SearchSpace, artifacts: Path, data_root: Path | None, stop: Stop | None) -> None:
        self._artifacts = artifacts
        self._stop = stop
        self._worker: WorkerProcess | None = None
        self._name = space.name
        self._first: Prepared | None = None
        self.validation: Examples | None = None
        self.test: Examples | None = None
        self._preparation = {
            "op": "prepare",
            "task": space.task,
            "data": asdict(space.data),
            "root": str(data_root) if data_root else None,
            "model": space.model,
            "recipe": space.recipe,
            "is_shipped": space.is_shipped,
            "recovery_steps": space.recovery_steps,
            "input": None if space.input is None else asdict(space.input),
        }

    def start(self, on_progress: OnProgress) -> Prepared:
        """Start a builder and return what it says of data and weights.

        Raises WorkerFailed when it cannot start, ExplorerError with its reason, OSError when the disk is full;
        StudyIncompatible when data, network or software differ from an earlier builder's.
        """
        self._worker = WorkerProcess("explorer.build.builder", self._stop, _ENVIRONMENT)
        try:
            facts = self._worker.ask(self._preparation, _DEADLINES_S, lambda values: on_progress(Progress(**values)))
        except WorkerFailed as failed:
            self.close()
            if failed.kind == FAILURE_KIND:
                raise disk_error_of(failed.reason) from failed
            kind = getattr(errors, failed.kind, None)
            if isinstance(kind, type) and issubclass(kind, ExplorerError):
                raise kind(failed.reason) from failed
            raise
        except BaseException:
            self.close()
            raise
        with _parsing_answer("what the builder prepared"):
            made = _prepared(facts)
            self._require_the_same(made)
            self.validation = Examples.from_json(facts["validation"])
            self.test = Examples.from_json(facts["test"])
        return made

    def build(self, variant: Variant, on_progress: OnProgress) -> Built:
        """Build and store one artifact. Raises WorkerFailed, and as `start` where the builder must be restarted."""
        if self._worker is None or not self._worker.is_alive:
            self.close()
            self.start(on_progress)
        assert self._worker is not None
        request = {"op": "build", "variant": variant.to_json(), "artifacts": str(self._artifacts)}
        answer = self._worker.ask(request, _DEADLINES_S, lambda values: on_progress(Progress(**values)))
        with _parsing_answer("what the builder built"):
            artifact = Artifact.read(self._artifacts / Path(answer["artifact"]).name)
            stages = tuple(from_json(Stage, stage) for stage in answer["stages"])
            known = {name: getattr(artifact.facts, name) for name in _OF_ARTIFACT}
            known |= {name: answer[name] for name in ("network", "pruned", "memory_bytes")}
            facts = from_json(BuildFacts, known, "the answer")
            if (n := len(facts.memory_bytes.segments)) != artifact.n_exits:
                raise ValueError(f"the memory of {n} segments, expected {artifact.n_exits}")
            return Built(artifact, stages, facts)

    def _require_the_same(self, new: Prepared) -> None:
        """Raise StudyIncompatible if data, network or software changed while the study ran."""
        first = self._first = self._first or new
        networks = (first.network_description, new.network_description)
        if changes := identity_difference(first.identity, new.identity, networks):
            self.close()
            what = "the builder had to start again, and data, network or software"
            raise incompatible(self._name, what, changes, _RESTORE)

    def processes(self) -> list[int]:
        """Return the builder's process id, if it runs."""
        return [] if self._worker is None or not self._worker.is_alive else [self._worker.process.pid]

    def close(self) -> None:
        """End the builder."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def _prepared(facts: Mapping[str, Any]) -> Prepared:
    """Return the identity and provenance of the study. Raises LookupError, TypeError for malformed facts."""
    description = facts.get("network_description")
    return Prepared(
        identity=identity_of(facts),
        provenance={
            "task": facts["task"],
            "weights": facts["weights"],
            **({} if facts["input"] is None else {"input": facts["input"]}),
            "references": facts["references"],
            "processor": environment.processor(),
            "memory_mib": environment.memory_mib(),
            "system": environment.system(),
        },
        network_description=None if description is None else Path(description),
    )


@contextmanager
def _parsing_answer(what: str) -> Iterator[None]:
    """Raise WorkerFailed for errors of parsing the builder's answer."""
    try:
        yield
    except (LookupError, TypeError, ValueError, FileNotFoundError) as error:
        raise WorkerFailed("bad result", f"{what} does not read: {type(error).__name__}: {error}") from error
