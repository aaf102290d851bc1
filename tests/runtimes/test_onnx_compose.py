"""One ONNX model of several segments: the same decisions as the chain's, no work after them, nothing else inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray
from onnx import TensorProto, helper

from explorer.runtimes.onnx_compose import Tensor, compose, inputs_and_outputs
from explorer.runtimes.onnxruntime_loading import load_segments, session_of
from explorer.runtimes.runtime import ExportFailed, ExportJob
from explorer.runtimes.staged import StagedExecutor
from explorer.tasks.classification_files import confidence

N_EXITS = 3
THRESHOLDS = (0.15, 0.3, 0.5, 0.8, 0.99, 1.0)


def segment(index: int, n_classes: int = 10, opset: int = 20, operator: str = "Sub") -> onnx.ModelProto:
    """Logits of exit e are a quarter of channel e, [b, 3, 1, k]; every segment has the same names inside."""
    is_last = index == N_EXITS - 1
    numbers = {"start": [index], "end": [index + 1], "axis": [1], "shape": [-1, n_classes]}
    constants = [helper.make_tensor(name, TensorProto.INT64, [len(v)], v) for name, v in numbers.items()]
    constants.append(helper.make_tensor("quarter", TensorProto.FLOAT, [], [0.25]))
    constants.append(helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0]))
    nodes = [
        helper.make_node("Cast", ["in"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Slice", ["float", "start", "end", "axis"], ["channel"], "slice"),
        helper.make_node("Reshape", ["channel", "shape"], ["flat"], "reshape"),
        helper.make_node("Mul", ["flat", "quarter"], ["scores"], "mul"),
        *([] if is_last else [helper.make_node(operator, ["float", "nothing"], ["features"], "sub")]),
    ]
    shape = ["batch", N_EXITS, 1, n_classes]
    kind = TensorProto.UINT8 if index == 0 else TensorProto.FLOAT
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", n_classes])]
    if not is_last:
        outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, shape))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("in", kind, shape)], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def saved(folder: Path, *models: onnx.ModelProto) -> list[Path]:
    for index, model in enumerate(models):
        onnx.save(model, folder / f"segment_{index}.onnx")
    return [folder / f"segment_{index}.onnx" for index in range(len(models))]


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Callable[..., SimpleNamespace]:
    """The hand-made segments at a threshold: composed, and one after the other. Each is made once."""

    @cache
    def make(threshold: float, n_classes: int = 10) -> SimpleNamespace:
        folder = tmp_path_factory.mktemp("chain")
        files = saved(folder, *(segment(index, n_classes) for index in range(N_EXITS)))
        return SimpleNamespace(
            composed=session_of(compose(files, threshold, {}), 1),
            staged=StagedExecutor(load_segments(files, 1, "none"), threshold, confidence),
        )

    return make


@pytest.fixture(scope="module")
def segments_of(tmp_path_factory, images) -> Callable[[str, bool], list[Path]]:
    """The segments of a small untrained network: by quantization, and with exits or without. Each is made once."""
    import torch

    from explorer.models.slimmable_cnn import build
    from explorer.runtimes.runtime import runtime

    torch.manual_seed(0)
    network = build(10, (3, 16, 16), [120.0] * 3, [60.0] * 3).materialize(0.25)
    with torch.no_grad():
        network.segments[1].head[2].linear.weight *= 64.0  # untrained, it would be less sure than the exit before it
    root = tmp_path_factory.mktemp("network")

    @cache
    def make(quantization: str, has_exits: bool) -> list[Path]:
        folder = root / f"{quantization}-{has_exits}"
        folder.mkdir()
        job = ExportJob(network, has_exits, quantization, images[:32], root / "scratch", input_name="images")
        return [folder / written.file for written in runtime("onnxruntime").export(job, folder)]

    return make


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from graphs(attribute.g)


@pytest.mark.parametrize("quantization", ["none", "dynamic_int8", "static_int8"])
def test_compose_network_with_exits_decides_as_its_segments_do(segments_of, images, quantization):
    files = segments_of(quantization, True)
    segments = load_segments(files, 1, quantization)
    everywhere = StagedExecutor(segments, 1.0, confidence)
    early = [confidence(everywhere.all_exits(images[i : i + 1])[:2, 0]) for i in range(48)]
    taken = []
    for threshold in np.quantile(early, [0.2, 0.5, 0.8], axis=0).ravel().tolist():
        model, staged = session_of(compose(files, threshold, {}), 1), StagedExecutor(segments, threshold, confidence)
        for i in range(48):
            logits, exits = staged.classify(images[i : i + 1])
            made, left = model(images[i : i + 1])
            assert left.tolist() == exits.tolist()
            assert made.argmax() == logits.argmax()
            np.testing.assert_allclose(made, logits, atol=1e-5)
            taken.append(int(exits[0]))
    assert set(taken) == {0, 1, 2}


@given(images=st_numpy.arrays(np.uint8, (1, N_EXITS, 1, 10)), threshold=st.sampled_from(THRESHOLDS))
def test_compose_any_logits_and_threshold_decides_as_the_chain_does(chain, images: NDArray[np.uint8], threshold: float):
    made = chain(threshold)
    distance = abs(confidence(made.staged.all_exits(images)[:-1, 0]) - threshold)
    assume(distance.min() > 1e-6 or threshold == 1.0)  # two libraries' exp may differ in the last bits
    logits, exits = made.staged.classify(images)
    composed_logits, composed_exits = made.composed(images)
    assert composed_exits.tolist() == exits.tolist()
    assert composed_exits.dtype == np.int64
    np.testing.assert_array_equal(composed_logits, logits)


@pytest.mark.parametrize("n_classes", [10, 11, 25])
def test_compose_confidence_equal_to_the_threshold_in_float32_leaves(chain, n_classes):
    images = np.zeros((1, N_EXITS, 1, n_classes), dtype=np.uint8)  # equal logits: a confidence of 1 / n_classes
    just_above = float(np.nextafter(np.float32(1 / n_classes), np.float32(1)))
    for threshold, expected in ((1 / n_classes, [0]), (just_above, [2])):
        made = chain(threshold, n_classes)
        assert made.staged.classify(images)[1].tolist() == expected
        assert made.composed(images)[1].tolist() == expected


def test_compose_threshold_of_one_keeps_even_a_confidence_of_one(chain):
    images = np.zeros((1, N_EXITS, 1, 10), dtype=np.uint8)
    images[..., 3] = 255
    assert confidence(chain(1.0).staged.all_exits(images)).min() == 1.0
    assert chain(0.99).composed(images)[1].tolist() == [0]
    assert chain(1.0).composed(images)[1].tolist() == [2]


def executed(model: bytes, features: NDArray[Any], folder: Path) -> list[str]:
    """The operators of the kernels that ran, those in branches included."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    session.run(None, {session.get_inputs()[0].name: features})
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [event["args"]["op_name"] for event in events if event["name"].endswith("_kernel_time")]


def test_compose_image_that_leaves_runs_no_later_segment_and_int8_stays_fused(segments_of, images, tmp_path):
    files = segments_of("static_int8", True)
    alone = []
    features = images[:1]
    for file in files:
        alone.append(executed(file.read_bytes(), features, tmp_path).count("QLinearConv"))
        features = session_of(str(file), 1)(features)[-1]
    leaving = executed(compose(files, 0.01, {}), images[:1], tmp_path)
    staying = executed(compose(files, 1.0, {}), images[:1], tmp_path)
    assert min(alone) > 0
    assert leaving.count("QLinearConv") == alone[0]
    assert staying.count("QLinearConv") == sum(alone)
    assert "Conv" not in staying


def test_compose_with_exits_tells_shapes_names_and_properties(segments_of):
    content = compose(segments_of("dynamic_int8", True), 0.6, {"study": "s", "classes": '["ä"]'})
    assert inputs_and_outputs(content) == (
        [Tensor("images", "uint8", (1, 3, 16, 16))],
        [Tensor("logits", "float32", (1, 10)), Tensor("exit", "int64", (1,))],
    )
    model = onnx.load_model_from_string(content)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"study": "s", "classes": '["ä"]'}
    assert [entry.domain for entry in model.opset_import] == [""]
    assert [node.op_type for graph in graphs(model.graph) for node in graph.node].count("If") == 2


def test_compose_with_exits_has_unique_names_and_nothing_of_the_exporting_machine(segments_of):
    content = compose(segments_of("none", True), 0.6, {})
    everything = list(graphs(onnx.load_model_from_string(content).graph))
    values = [name for graph in everything for node in graph.node for name in node.output]
    weights = [tensor for graph in everything for tensor in graph.initializer]
    names = [*values, *(tensor.name for tensor in weights), "images"]
    nodes = [node.name for graph in everything for node in graph.node]
    assert len(names) == len(set(names))
    assert len(nodes) == len(set(nodes))
    assert not any(tensor.external_data for tensor in weights)
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"stack_trace" not in content


@pytest.mark.parametrize("has_exits", [False, True])
@pytest.mark.parametrize("quantization", ["none", "dynamic_int8", "static_int8"])
def test_compose_loaded_by_onnx_runtime_warns_of_nothing(segments_of, capfd, quantization, has_exits):
    content = compose(segments_of(quantization, has_exits), 0.6, {"name": "n"})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2  # warnings and worse
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    assert capfd.readouterr().err == ""


def test_compose_one_segment_is_its_files_bytes_with_properties(segments_of, images):
    (file,) = segments_of("static_int8", False)
    content = compose([file], 1.0, {"name": "n"})
    assert content.startswith(file.read_bytes())
    alone, model = onnx.load(file), onnx.load_model_from_string(content)
    assert model.graph == alone.graph
    assert model.opset_import == alone.opset_import
    added = [entry for entry in model.metadata_props if entry not in alone.metadata_props]
    assert [(entry.key, entry.value) for entry in added] == [("name", "n")]
    (given_to,), (made,) = inputs_and_outputs(content)
    assert given_to == Tensor("images", "uint8", (None, 3, 16, 16))
    assert made.shape == (None, 10)
    np.testing.assert_array_equal(session_of(content, 1)(images[:5])[0], session_of(str(file), 1)(images[:5])[0])


def test_compose_segments_of_different_operator_versions_are_refused(tmp_path):
    files = saved(tmp_path, segment(0), segment(1, opset=21), segment(2))
    with pytest.raises(ExportFailed, match=r"expected one version of the operators ai\.onnx .*, got 20 and 21"):
        compose(files, 0.5, {})


def test_compose_segment_with_functions_is_refused(tmp_path):
    own = helper.make_function("own", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], [])
    with_function = segment(1)
    with_function.functions.append(own)
    with pytest.raises(ExportFailed, match="a segment has ONNX functions of its own"):
        compose(saved(tmp_path, segment(0), with_function, segment(2)), 0.5, {})


def test_compose_segments_that_make_no_model_are_refused(tmp_path):
    files = saved(tmp_path, segment(0), segment(1, operator="Subtract"), segment(2))
    with pytest.raises(ExportFailed, match=r"the segments make no ONNX model: .*Subtract"):
        compose(files, 0.5, {})
