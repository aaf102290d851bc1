"""A builder that starts again: it comes to the data and the network that the study began with, or no trial is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import TASK, small_space

from explorer.errors import StudyIncompatible
from explorer.models.identity import Description, Step
from explorer.records import Variant
from explorer.study import builder_process as building
from explorer.study.builder_process import BuilderProcess
from explorer.system import environment
from explorer.system.worker_process import WorkerFailed
from explorer.tasks.task import Examples
from explorer.typed_json import to_json


class _Child:
    """A builder that answers the next of `answers` to `prepare`, and dies of the first `build`."""

    answers: list[dict[str, Any]]
    environments: list[Any]
    n_builds = 0

    def __init__(self, module: str, stop: object, environment: object) -> None:
        self.is_alive = True
        self.environments.append(environment)

    def ask(self, request: dict[str, Any], deadlines_s: object, on_progress: Callable[[Any], None]) -> dict[str, Any]:
        if request["op"] == "prepare":
            return self.answers.pop(0)
        self.is_alive = False
        type(self).n_builds += 1
        raise WorkerFailed("signal SIGKILL", "it died")

    def close(self) -> None:
        self.is_alive = False


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BuilderProcess]:
    """A building whose builder died of its first build, and is to start again with the second of two answers."""

    def start(first: dict[str, Any], second: dict[str, Any]) -> BuilderProcess:
        _Child.answers, _Child.environments, _Child.n_builds = [first, second], [], 0
        monkeypatch.setattr(building, "WorkerProcess", _Child)
        made = BuilderProcess(small_space(), tmp_path / "artifacts", None, None)
        made.start(lambda _: None)
        with pytest.raises(WorkerFailed):
            made.build(Variant(), lambda _: None)
        return made

    return start


def answer(weights: str = "w0", images: str = "d0", network: Path | None = None) -> dict[str, Any]:
    return {
        "task": TASK,
        "data": {"name": "digits", "fingerprint": images, "splits": "s0"},
        "validation": Examples(Path("v.npy"), Path("vl.npy"), "s0", "classification", TASK["facts"]).to_json(),
        "test": Examples(Path("t.npy"), Path("tl.npy"), "d0 test", "classification", TASK["facts"]).to_json(),
        "weights": {"fingerprint": weights, "card": {}},
        "input": None,
        "references": [],
        "network_description": None if network is None else str(network),
    }


def test_builder_that_comes_back_the_same_builds_on(started):
    made = started(answer(), answer())
    with pytest.raises(WorkerFailed, match="it died"):
        made.build(Variant(), lambda _: None)
    assert _Child.n_builds == 2
    assert _Child.environments == [{"PYTHONHASHSEED": "0"}] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [({"weights": "w1"}, "weights: w0 -> w1"), ({"images": "d1"}, r"data\.fingerprint: d0 -> d1")],
)
def test_builder_that_comes_back_with_other_content_builds_nothing(started, change, words):
    made = started(answer(), answer(**change))
    with pytest.raises(StudyIncompatible, match=rf"(?s)had to start again.*'small'.*\n  {words}\n.*no trial") as ended:
        made.build(Variant(), lambda _: None)
    assert ended.value.exit_code == 6
    assert _Child.n_builds == 1
    assert made.processes() == []


def test_builder_that_comes_back_with_another_network_says_what_of_it_differs(started, tmp_path):
    files = []
    for factor in ("0.5", "0.7"):
        graph = (Step(f"aten.mul.Tensor(images, {factor})", "block.scale"),)
        files.append(tmp_path / f"{factor}.json")
        files[-1].write_text(json.dumps(to_json(Description({}, {}, {}, graph, graph))))
    made = started(answer("w0", network=files[0]), answer("w1", network=files[1]))
    with pytest.raises(
        StudyIncompatible, match=r"differs at operation 1, in block\.scale: .* 0\.5\).* and is .* 0\.7\)"
    ):
        made.build(Variant(), lambda _: None)


def test_builder_that_comes_back_with_other_software_builds_nothing(started, monkeypatch):
    made = started(answer(), answer())
    known = environment.software()
    monkeypatch.setattr(environment, "software", lambda: {**known, "torch": "3.0"})
    with pytest.raises(StudyIncompatible, match=r"software\.torch: .* -> 3\.0"):
        made.build(Variant(), lambda _: None)
