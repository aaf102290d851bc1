"""Programs of strangers: what torch.export.load would make code of is refused, and nothing of it ever runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from explorer.runtimes.pt2_safety import check_program
from explorer.runtimes.safety import UnsafeFile

PROGRAM = "models/model.json"
WEIGHTS, CONSTANTS = "data/weights/model_weights_config.json", "data/constants/model_constants_config.json"
INPUTS = "data/sample_inputs/model.pt"


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self):
        return os.system, (self._command,)


def saved(value: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def read_json(content: bytes, name: str) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return json.loads(archive.read(f"archive/{name}"))


@pytest.fixture
def spoiled(programs, rewritten) -> Callable[[str, Callable[[Any], Any]], bytes]:
    """The float program with one of its JSON files changed."""

    def spoil(name: str, change: Callable[[Any], Any]) -> bytes:
        value = read_json(programs["none"], name)
        change(value)
        return rewritten(programs["none"], {name: json.dumps(value).encode()})

    return spoil


def refused(content: bytes, match: str) -> None:
    with pytest.raises(UnsafeFile, match=match):
        check_program(content)


@pytest.mark.parametrize("quantization", ["none", "dynamic_int8"])
def test_check_what_we_export_passes(programs, rewritten, quantization):
    check_program(programs[quantization])
    check_program(rewritten(programs[quantization], {}))


def test_check_program_without_sample_inputs_passes(programs, rewritten):
    check_program(rewritten(programs["none"], {INPUTS: b""}))
    check_program(rewritten(programs["none"], {INPUTS: None}))


def test_check_other_networks_operators_pass():
    import torch
    from torch import nn

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
            self.head = nn.Linear(8, 3)

        def forward(self, images):
            features = nn.functional.pad(images.float(), (1, 1, 1, 1), mode="reflect")
            features = nn.functional.interpolate(features, scale_factor=2.0, mode="bilinear")
            tokens = nn.functional.adaptive_avg_pool2d(features, 4).flatten(2).repeat(1, 8, 1).transpose(1, 2)
            tokens = self.attend(tokens)
            tokens = tokens.reshape(-1, 8).view(images.shape[0], 16, 8)
            left, right = torch.chunk(torch.einsum("bnd,bnd->bd", tokens, tokens), 2, 1)
            return self.head(torch.cat([left, right], 1)), features

    images = torch.zeros((2, 1, 6, 6), dtype=torch.uint8)
    program = torch.export.export(Mixed().eval(), (images,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    check_program(buffer.getvalue())


@pytest.mark.parametrize("place", ["inputs", "weight", "opaque constant"])
def test_check_pickle_with_a_payload_is_refused_and_never_runs(programs, rewritten, tmp_path, place):
    canary = tmp_path / "canary"
    payload = Payload(f"touch {canary}")
    weights = read_json(programs["none"], WEIGHTS)
    facts = next(iter(weights["config"].values()))
    facts["use_pickle"] = True
    opaque = {"config": {"x": {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True}}}
    changes = {
        "inputs": {INPUTS: saved((payload,))},
        "weight": {WEIGHTS: json.dumps(weights).encode(), f"data/weights/{facts['path_name']}": saved(payload)},
        "opaque constant": {
            CONSTANTS: json.dumps(opaque).encode(),
            "data/constants/opaque_obj_0": pickle.dumps(payload),
        },
    }
    refused(rewritten(programs["none"], changes[place]), r"names '\w+.system'|'data/constants/opaque_obj_0' in it")
    assert not canary.exists()


@pytest.mark.parametrize(
    "name",
    ["data/aotinductor/model/x.so", "extra/notes.txt", "models/other.json", "data/weights/model.pt", "code/run.py",
     "data/constants/custom_obj_0", "data/weights/weight_", "version", "xl_model_weights/model_param_config"],
)  # fmt: skip
def test_check_surplus_member_is_refused(programs, rewritten, name):
    refused(rewritten(programs["none"], {name: b"x"}), f"is a program with '{name}' in it")


@pytest.mark.parametrize("name", [PROGRAM, WEIGHTS, CONSTANTS])
def test_check_missing_member_is_refused(programs, rewritten, name):
    refused(rewritten(programs["none"], {name: None}), f"it has no {name}")


def test_check_program_outside_of_the_grammar_is_refused(spoiled):
    refused(spoiled(PROGRAM, lambda program: program["guards_code"].append("print(1)")), "with guards_code")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_check_member_that_is_no_json_is_refused(programs, rewritten, content):
    refused(rewritten(programs["none"], {PROGRAM: content}), "does not read as JSON")


def test_check_other_file_is_refused():
    refused(b"PK\3\4 not really", "is not an archive")


def any_weight(config: Any) -> Any:
    return next(iter(config["config"].values()))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda config: any_weight(config).update(path_name="../../models/model.json"), "with the path_name"),
        (lambda config: any_weight(config).update(path_name="weight_99999"), "is not in it"),
        (lambda config: any_weight(config).update(path_name="opaque_obj_0"), "is not in it"),
        (lambda config: any_weight(config)["tensor_meta"].update(sizes=[{"as_int": 2**40}]), "more values than bytes"),
        (lambda config: any_weight(config)["tensor_meta"].update(sizes=[{"as_int": -1}]), "more values than bytes"),
        (
            lambda config: any_weight(config)["tensor_meta"].update(sizes=[{"as_int": 10**400}, {}]),
            "more values than bytes",
        ),
        (lambda config: any_weight(config).pop("tensor_meta"), "more values than bytes"),
        (lambda config: any_weight(config).update(use_pickle=1), "is not an archive"),
        (lambda config: any_weight(config).pop("use_pickle"), "is not an archive"),
        (lambda config: config.update(config=[]), "are not described"),
    ],
)
def test_check_weights_that_are_not_theirs_are_refused(spoiled, change, match):
    refused(spoiled(WEIGHTS, change), match)
