"""Study folders whose parts read, and say what cannot be: other kinds of values, numbers that are none."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from bad_case import Case
from bad_studies import EXPORT, FRONT, fact, record, study

from explorer.study.store.facts import REFERENCE_KEY

_DAMAGED = r"^the study's database is damaged: \S*study\.db: {}.*--fork NAME"
_ONE = {"value": 1.0, "low": None, "high": None, "n": 1}


def resealed(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The record of one trial is changed, and has its checksum."""

    def replaced(text: str) -> str:
        entry = json.loads(text)["entry"]
        change(entry)
        return json.dumps({"entry": entry, "crc32": zlib.crc32(json.dumps(entry).encode())})

    return record(replaced)


def reference(text: str) -> Callable[[Path], None]:
    """The reference of the hypervolume is this text."""

    def make(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "study.db")) as database:
            query = "UPDATE study_user_attributes SET value_json = ? WHERE key = ?"
            database.execute(query, (text, REFERENCE_KEY))
            database.commit()

    return study(make)


def confirmation(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """A confirmation of the baseline with one round is changed."""

    def make(folder: Path) -> None:
        values = {
            "format": 3,
            "seed": 0,
            "n_trials": 60,
            "last_finished": 0.0,
            "finalists": [{"trial": 0, "artifact": "a", "packed": {}}],
            "left_out": [],
            "rounds": [
                [{"trial": 0, "metrics": {"latency_ms": dict(_ONE)}, "reasons": [], "failure": None, "anchor": None}]
            ],
            "test_accuracies": {},
            "seconds": 1.0,
            "ended": "settled",
        }
        change(values)
        (folder / "confirmation.json").write_text(json.dumps(values))

    return study(make)


def _set(*path: Any, to: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Replaces what lies at the end of a path of keys; returns the whole."""

    def change(values: dict[str, Any]) -> dict[str, Any]:
        place: Any = values
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = to
        return values

    return change


def _facts(name: str, change: Callable[[dict[str, Any]], Any], says: str) -> Case:
    return Case(name, fact(change), FRONT, 6, _DAMAGED.format(says))


def _plugin(kind: str, change: Callable[[dict[str, Any]], Any]) -> Case:
    says = rf"^the study was made with the {kind} 'alchemy', which is not installed here \(.*: install the package"
    return Case(f"facts_of_a_{kind}_that_is_not_installed", fact(change), FRONT, 5, says)


def _record(name: str, change: Callable[[dict[str, Any]], object], says: str) -> Case:
    return Case(name, resealed(change), FRONT, 6, _DAMAGED.format(says))


def _record_text(name: str, old: str, new: str, says: str) -> Case:
    """What JSON can say and `json.dumps` does not: the entry's text is changed, and has its checksum."""

    def replaced(text: str) -> str:
        entry = text[len('{"entry": ') : text.rfind(', "crc32": ')].replace(old, new, 1)
        return f'{{"entry": {entry}, "crc32": {zlib.crc32(entry.encode())}}}'

    return Case(name, record(replaced), FRONT, 6, _DAMAGED.format(says))


def _export(name: str, change: Callable[[dict[str, Any]], Any], says: str) -> Case:
    return Case(name, fact(change), EXPORT, 6, rf"^what the study \S+ knows of itself .* is not whole \({says}.*--fork")


def _reference(name: str, text: str, says: str) -> Case:
    return Case(name, reference(text), FRONT, 6, _DAMAGED.format(says))


def _confirmation(name: str, change: Callable[[dict[str, Any]], object], says: str) -> Case:
    says = rf"^\S*confirmation\.json is not a whole confirmation \(.*{says}.*\): delete it"
    return Case(name, confirmation(change), FRONT, 6, says)


_RELATIVE_TO_NOTHING = {"metric": "energy_mj", "comparison": "<=", "bound": 1.0, "is_relative": True}
_TAKE = ("rounds", 0, 0)
_NUMBER = r"a trial.s record\..*: Input should be a (valid|finite) number"
_CLASSES = ("provenance", "task", "facts", "classes")

CASES = (
    _facts("facts_whose_provenance_is_a_number", _set("provenance", to=3),
            "its facts.provenance: Input should be an object"),
    _facts("facts_whose_identity_is_a_list", _set("identity", to=[]), "its facts.identity: Input should be an object"),
    _facts("facts_of_classes_that_are_a_number", _set("provenance", "task", "facts", to=3),
           "its task.facts: Input should be an object"),
    _plugin("task", _set("space", "task", to="alchemy")),
    _plugin("scenario", _set("space", "scenario", to="alchemy")),
    _plugin("family", _set("space", "model", to="alchemy")),
    _plugin("runtime", _set("space", "parameters", "runtime", "values", 1, to="alchemy")),
    _facts("facts_of_another_task_than_the_space_has", _set("provenance", "task", "name", to="alchemy"),
           "its task is 'alchemy'"),
    _facts("facts_of_weights_that_are_a_text", _set("provenance", "weights", to="w"),
           "its weights: Input should be an object"),
    _facts("facts_of_a_recipe_without_a_name", _set("provenance", "weights", "card", "recipe", to={}), "'name'"),
    _facts("facts_of_a_memory_of_no_float", _set("provenance", "memory_mib", to=10**400),
           "JSON: a number is too large"),
    _facts("facts_with_half_of_a_character", _set("provenance", "note", to="\ud800"), ".*hex escape"),
    _facts("facts_of_a_name_that_climbs", _set("space", "name", to="../../x"), "its name does not match"),
    _facts("facts_of_no_classes", _set(*_CLASSES, to=[]), "the facts of its task: expected classes alone, a list"),
    _facts("facts_of_constraints_relative_to_nothing", _set("space", "constraints", 0, to=_RELATIVE_TO_NOTHING),
           "the baseline's record lacks a metric that a constraint is relative to"),
    _facts("facts_of_many_classes", _set(*_CLASSES, to="many"),
           "the facts of its task: expected classes alone, a list"),
    _facts("facts_with_a_batch_of_many", _set("space", "parameters", "batch_size", "values", to=["many"]),
           "batch_size: its value is of another type"),
    _facts("facts_with_a_width_of_text", _set("space", "parameters", "width", "values", to=["wide"]),
           "width: its value is of another type"),
    _facts("facts_with_a_price_of_text", _set("space", "device", "hardware_usd_per_hour", to="dear"),
           "its facts.space.device.hardware_usd_per_hour: Input should be a valid number"),
    _facts("facts_with_a_bound_relative_to_text", _set("space", "constraints", 0, "is_relative", to="no"),
           "its facts.space.constraints.0.is_relative: Input should be a valid boolean"),
    _export("facts_without_an_identity", _set("identity", to={}), "it has no 'data'"),
    _export("facts_without_a_fingerprint", _set("identity", "data", to={"name": "cifar10"}), "it has no 'kind'"),
    _export("facts_of_an_image_of_text", _set("identity", "data", "input", "shape", to=["a", "b", "c"]),
            "the shape of its inputs: expected whole numbers"),
    _export("facts_of_a_processor_of_number", _set("provenance", "processor", "name", to=3),
            "processor: Input should be a valid string"),
    _export("facts_of_a_version_that_is_a_command", _set("identity", "software", "python", to="3\nRUN sh"),
            "its software has something that is no version"),
    Case("record_without_an_observation", resealed(lambda entry: entry["outcome"].update(observation=None)),
         ("export", "cnn", "--studies", ".", "--trial", "0", "--force", "-o", "out"), 6,
         r"^what the study \S+ knows of itself and of trial 0 is not whole \(it has no observation\)"),
    Case("record_of_a_variant_that_cannot_be", resealed(_set("outcome", "variant", "pruning_ratio", to=1.5)),
         ("export", "cnn", "--studies", ".", "--trial", "0", "--force", "-o", "out"), 6,
         r"^what the study \S+ knows of .*\(variant\.pruning_ratio: expected at most 0\.9, got 1\.5\)"),
    _reference("reference_of_nothing", "{}", r"'\w+'"),
    _reference("reference_that_is_a_number", "7", ""),
    _reference("reference_of_text", '{"accuracy": "a", "latency_ms": 1, "cost_usd_per_million": 1}',
               "its reference point: expected finite numbers"),
    _reference("reference_beyond_measure", '{"accuracy": 1e308, "latency_ms": 1, "cost_usd_per_million": 1}',
               "its reference point: nothing measured is as large as 1e\\+308"),
    _reference("reference_of_no_number", '{"accuracy": NaN, "latency_ms": 1, "cost_usd_per_million": 1}',
               "NaN is not a number of JSON"),
    _record("record_that_started_at_a_text", _set("started", to="x"), _NUMBER),
    _record("record_of_a_metric_beyond_measure", _set("outcome", "metrics", "latency_ms", "value", to=1e101),
            "metrics: nothing measured is as large as 1e\\+101"),
    _record("record_violated_by_a_text", _set("violations", to={"a <= 1": "x"}), _NUMBER),
    _record("record_with_evidence_of_text", _set("first_measurements", "accuracy", to="x"), _NUMBER),
    _record("record_of_a_number_of_no_float", _set("finished", to=10**400), _NUMBER),
    _record("record_in_another_state", _set("state", to="done"), "a trial's record.state: Input should be"),
    _record("record_that_failed_without_a_failure", _set("state", to="failed"), "trial 0 is COMPLETE"),
    _record("record_with_a_failure_of_numbers", _set("outcome", "failure", to={"cause": 1, "values": {}}),
            ".*outcome.failure.cause: Input should be a valid string"),
    _record("record_invalid_because_of_a_number", _set("outcome", "reasons", to=[3]), ".*outcome.reasons.0: .*"),
    _record("record_invalid_for_no_reason", _set("outcome", "reasons", to=[{"kind": "mood", "values": {}}]),
            ".*outcome.reasons.0: .*'mood' is no reason"),
    _record("record_of_a_width_of_text", _set("outcome", "variant", "width", to="wide"),
            "width: its value is of another type"),
    _record("record_of_a_stage_without_a_name", _set("outcome", "stages", to=[{"name": 1, "seconds": 1}]),
            ".*outcome.stages.0.name: Input should be a valid string"),
    _record("record_whose_observation_is_a_list", _set("outcome", "observation", to=[]),
            ".*outcome.observation: Input should be"),
    _record("record_of_an_infinite_time", _set("outcome", "metrics", "latency_ms", "value", to=float("inf")), ""),
    _record("record_of_a_share_of_no_float", _set("outcome", "observation", "busy_cores", to=10**400),
            ".*outcome.observation.busy_cores: "),
    _record("record_of_modules_that_nest_deeply",
            _set("outcome", "observation", "modules", to=json.loads("[" * 150 + "]" * 150)),
            ".*outcome.observation.modules"),
    _record("record_of_an_endless_batch", _set("outcome", "variant", "batch_size", to=10**400),
            "batch_size: its value is of another type"),
    _record_text("record_of_a_share_beyond_numbers", '"busy_cores": ', '"busy_cores": 1e999', ""),
    _record_text("record_of_a_share_of_no_number", '"busy_cores": ', '"busy_cores": NaN', ""),
    _record("record_that_lacks_an_objective", _set("outcome", "metrics", to={}), ".*its record lacks an objective"),
    _record("record_unknown_for_a_number", _set("outcome", "metrics", "energy_mj", to={"value": None, "why": 3}),
            ".*why is no text"),
    _confirmation("confirmation_of_a_text", _set(*_TAKE, "metrics", "latency_ms", "value", to="fast"),
                  "latency_ms.value: Input should be a valid number"),
    _confirmation("confirmation_beyond_measure", _set(*_TAKE, "metrics", "latency_ms", "high", to=1e308),
                  "latency_ms: nothing measured is as large as 1e\\+308"),
    _confirmation("confirmation_of_no_float", _set(*_TAKE, "metrics", "latency_ms", "n", to=10**400),
                  "a number is too large"),
    _confirmation("confirmation_of_no_number", _set(*_TAKE, "metrics", "latency_ms", "low", to=float("nan")),
                  "NaN is not a number of JSON"),
    _confirmation("confirmation_invalid_by_text", _set(*_TAKE, "reasons", to="abc"),
                  "reasons: Input should be a valid array"),
    _confirmation("confirmation_failed_by_number", _set(*_TAKE, "failure", to={"cause": 1, "values": {}}),
                  "failure.cause: Input should be a valid string, got 1"),
    _confirmation("confirmation_of_an_artifact_of_number", _set("finalists", 0, "artifact", to=3),
                  "it.finalists.0.artifact: Input should be a valid string, got 3"),
    _confirmation("confirmation_of_endless_seconds", _set("seconds", to="inf"),
                  "it.seconds: Input should be a valid number"),
)  # fmt: skip
