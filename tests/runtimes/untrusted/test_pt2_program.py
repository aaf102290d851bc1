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

from explorer.runtimes.untrusted.files import UnsafeFile
from explorer.runtimes.untrusted.pt2_program import check_grammar, check_program

RELU = "torch.ops.aten.relu.default"
WORD = {"name": "filename", "arg": {"as_string": "somewhere"}, "kind": 1}


@pytest.fixture
def program(programs) -> Any:
    """The description of a real program, to be changed."""
    with zipfile.ZipFile(io.BytesIO(programs["none"])) as archive:
        return json.loads(archive.read("archive/models/model.json"))


def is_not_of_the_grammar(program: Any, match: str) -> None:
    with pytest.raises(UnsafeFile, match=match):
        check_grammar(program)


def graph(program: Any) -> Any:
    return program["graph_module"]["graph"]


def relu(program: Any) -> Any:
    return next(node for node in graph(program)["nodes"] if node["target"] == RELU)


def compute_sizes(program: Any, text: str) -> None:
    for value in graph(program)["tensor_values"].values():
        for size in value["sizes"]:
            if "as_expr" in size:
                size["as_expr"]["expr_str"] = text


def test_check_real_program_passes(program):
    check_grammar(program)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch canary')",
        "Symbol('s97', positive=True).free_symbols",
        "Symbol('s97').__class__",
        "2**99**99",
        "(2)**9",
        "open('canary', 'w')",
        "[x for x in (1,)]",
        "s97",
        "1" * 5000,
    ],
)
def test_check_size_that_is_more_than_a_sum_is_is_not_of_the_grammar(program, text):
    compute_sizes(program, text)
    is_not_of_the_grammar(program, "a size that is computed by")


@pytest.mark.parametrize("text", ["Symbol('s97', positive=True, integer=True)", "Mul(Integer(4), Symbol('s1'))", "2"])
def test_check_size_that_is_a_sum_passes(program, text):
    compute_sizes(program, text)
    check_grammar(program)


@pytest.mark.parametrize(
    "target",
    [
        "torch.serialization.os.system",
        "torch.os.system",
        "torch.load",
        "torch.ops.load_library",
        "torch.ops.aten.__class__.mro",
        "torch.ops.aten.relu.__init__",
        "torch.ops.higher_order.cond",
        "torch.ops.mine.evil.default",
        "_operator.methodcaller",
        "math.sqrt",
        "#namespace:name",
        "relu",
    ],
)
def test_check_operator_that_is_not_torchs_own_is_is_not_of_the_grammar(program, target):
    relu(program)["target"] = target
    is_not_of_the_grammar(program, "with the target ")


@pytest.mark.parametrize("target", ["torch.ops.aten.from_file.default", "torch.ops.aten.save.default", RELU])
def test_check_operator_that_is_told_a_file_is_is_not_of_the_grammar(program, target):
    relu(program).update(target=target, inputs=[WORD])
    is_not_of_the_grammar(program, "has a text argument")


def test_check_operator_that_knows_words_may_be_told_one(program):
    relu(program).update(target="torch.ops.aten.gelu.default", inputs=[{**WORD, "arg": {"as_string": "tanh"}}])
    check_grammar(program)


def test_check_path_as_a_word_is_is_not_of_the_grammar(program):
    word = {"name": "mode", "arg": {"as_string": "/etc/passwd"}, "kind": 1}
    relu(program).update(target="torch.ops.aten.pad.default", inputs=[word])
    is_not_of_the_grammar(program, "with the as_string '/etc/passwd'")


@pytest.mark.parametrize(
    "change",
    [
        lambda it: relu(it).update(name="x = print(1)"),
        lambda it: graph(it)["inputs"][0]["as_tensor"].update(name="x=print(1)"),
        lambda it: graph(it)["inputs"][0]["as_tensor"].update(name="x\n"),
        lambda it: graph(it)["tensor_values"].update({"x; y": {}}),
        lambda it: relu(it)["metadata"].update(custom="{}"),
        lambda it: relu(it)["metadata"].update(source_fn_stack="x,torch.os.system"),
        lambda it: relu(it)["inputs"][0].update(arg={"as_operator": "torch.os.system"}),
        lambda it: relu(it)["inputs"][0].update(arg={"as_graph": {}}),
        lambda it: relu(it)["inputs"][0].update(arg={"as_custom_obj": {}}),
        lambda it: graph(it)["custom_obj_values"].update(x={"name": "x", "class_fqn": "os.path"}),
        lambda it: it["graph_module"]["metadata"].update(custom="{}"),
        lambda it: it["guards_code"].append("print(1)"),
        lambda it: it["verifiers"].append("MINE"),
        lambda it: it["range_constraints"].update({"print(1)": {"min_val": 0}}),
        lambda it: it.update(new_field=1),
        lambda it: it.update(graph_module="a text in the place of an object"),
    ],
)
def test_check_name_or_key_outside_of_the_grammar_is_is_not_of_the_grammar(program, change):
    change(program)
    is_not_of_the_grammar(program, "is a program with ")


def test_check_class_in_the_shape_of_the_inputs_is_is_not_of_the_grammar(program):
    """Torch imports the module that an enumeration in it names."""
    context = json.dumps([{"__enum__": True, "fqn": "antigravity:X", "name": "x"}])
    spec = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": []}])
    program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = spec
    is_not_of_the_grammar(program, "inputs or outputs are no plain tensors")


@pytest.mark.parametrize(
    "spec",
    ["", "[]", "[2, {}]", "[1, null]", '[1, {"type": "mine.Class", "context": null, "children_spec": []}]', "[" * 9999],
)
def test_check_other_shape_of_the_outputs_is_is_not_of_the_grammar(program, spec):
    program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec
    is_not_of_the_grammar(program, "inputs or outputs are no plain tensors")


def test_check_nested_too_deeply_is_is_not_of_the_grammar():
    deep: Any = 1
    for _ in range(5000):
        deep = {"graph": deep}
    is_not_of_the_grammar(deep, "nested too deeply")


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
