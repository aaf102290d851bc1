"""The grammar of a program's JSON: what torch.export.load would make code of is not of it."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from explorer.runtimes.program_grammar import check_grammar
from explorer.runtimes.safety import UnsafeFile

RELU = "torch.ops.aten.relu.default"
WORD = {"name": "filename", "arg": {"as_string": "somewhere"}, "kind": 1}


@pytest.fixture
def program(programs) -> Any:
    """The description of a real program, to be changed."""
    with zipfile.ZipFile(io.BytesIO(programs["none"])) as archive:
        return json.loads(archive.read("archive/models/model.json"))


def refused(program: Any, match: str) -> None:
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
def test_check_size_that_is_more_than_a_sum_is_refused(program, text):
    compute_sizes(program, text)
    refused(program, "a size that is computed by")


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
def test_check_operator_that_is_not_torchs_own_is_refused(program, target):
    relu(program)["target"] = target
    refused(program, "with the target ")


@pytest.mark.parametrize("target", ["torch.ops.aten.from_file.default", "torch.ops.aten.save.default", RELU])
def test_check_operator_that_is_told_a_file_is_refused(program, target):
    relu(program).update(target=target, inputs=[WORD])
    refused(program, "is told a word")


def test_check_operator_that_knows_words_may_be_told_one(program):
    relu(program).update(target="torch.ops.aten.gelu.default", inputs=[{**WORD, "arg": {"as_string": "tanh"}}])
    check_grammar(program)


def test_check_path_as_a_word_is_refused(program):
    word = {"name": "mode", "arg": {"as_string": "/etc/passwd"}, "kind": 1}
    relu(program).update(target="torch.ops.aten.pad.default", inputs=[word])
    refused(program, "with the as_string '/etc/passwd'")


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
def test_check_name_or_key_outside_of_the_grammar_is_refused(program, change):
    change(program)
    refused(program, "is a program with ")


def test_check_class_in_the_shape_of_the_inputs_is_refused(program):
    """Torch imports the module that an enumeration in it names."""
    context = json.dumps([{"__enum__": True, "fqn": "antigravity:X", "name": "x"}])
    spec = json.dumps([1, {"type": "builtins.dict", "context": context, "children_spec": []}])
    program["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = spec
    refused(program, "inputs or outputs are no plain tensors")


@pytest.mark.parametrize(
    "spec",
    ["", "[]", "[2, {}]", "[1, null]", '[1, {"type": "mine.Class", "context": null, "children_spec": []}]', "[" * 9999],
)
def test_check_other_shape_of_the_outputs_is_refused(program, spec):
    program["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = spec
    refused(program, "inputs or outputs are no plain tensors")


def test_check_nested_too_deeply_is_refused():
    deep: Any = 1
    for _ in range(5000):
        deep = {"graph": deep}
    refused(deep, "nested too deeply")
