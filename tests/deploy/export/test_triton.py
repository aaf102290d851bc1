"""The model repository for Triton: a configuration that its own schema reads, and that fits the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from google.protobuf import text_format
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from explorer.deploy.export.onnx_file import onnx_model
from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.export.triton import config, write_triton
from explorer.deploy.manifest import MANIFEST, MODEL, Manifest
from explorer.runtimes.artifact import Artifact

BATCHING = ("onnxruntime", "static_int8", 1.0, 0.3)
DEPENDING_ON_THE_BATCH = ("onnxruntime", "dynamic_int8", 1.0, 0.0)
WITH_EXITS = ("onnxruntime", "none", 0.8, 0.0)


def read(bundle: Path) -> tuple[Artifact, Manifest]:
    return Artifact.read(bundle / MODEL), Manifest.model_validate_json((bundle / MANIFEST).read_bytes())


def parsed(text: str) -> Any:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.fixture
def repository(bundle_of, tmp_path):
    """Writes the repository of a kind: its folder, and the configuration in it."""

    def write(kind: tuple[str, str, float, float]) -> tuple[Path, Any]:
        artifact, manifest = read(bundle_of(kind))
        write_triton(tmp_path, ExportPlan(artifact, manifest, b""))
        (place,) = tmp_path.iterdir()
        assert place.name == manifest.name
        return place, parsed((place / "config.pbtxt").read_text(encoding="utf-8"))

    return write


def tensors(values: Any) -> list[tuple[str, str, list[int]]]:
    return [(v.name, model_config_pb2.DataType.Name(v.data_type), list(v.dims)) for v in values]


@pytest.mark.parametrize("kind", [BATCHING, DEPENDING_ON_THE_BATCH, WITH_EXITS], ids=str)
def test_write_triton_any_kind_fits_the_model_that_it_holds(repository, kind):
    place, config = repository(kind)
    assert (config.name, config.backend) == (place.name, "onnxruntime")
    session = onnxruntime.InferenceSession(place / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    kinds = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}
    skipped = 1 if config.max_batch_size else 0
    for values, of_model in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        expected = [
            (value.name, kinds[value.type], [n if isinstance(n, int) else -1 for n in value.shape[skipped:]])
            for value in of_model
        ]
        assert tensors(values) == expected
    assert (place / config.output[0].label_filename).read_text().split() == [str(digit) for digit in range(10)]
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, model_config_pb2.ModelInstanceGroup.KIND_CPU)
    threads = {key: value.string_value for key, value in config.parameters.items()}
    assert threads == {"intra_op_thread_count": "1", "inter_op_thread_count": "1"}


def test_write_triton_one_segment_is_batched_without_the_batch_in_its_dimensions(repository):
    _, config = repository(BATCHING)
    assert config.max_batch_size == 64
    assert config.HasField("dynamic_batching")
    assert tensors(config.input) == [("images", "TYPE_UINT8", [1, 8, 8])]


def test_write_triton_logits_that_depend_on_the_batch_are_never_put_together(repository):
    place, config = repository(DEPENDING_ON_THE_BATCH)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert tensors(config.input) == [("images", "TYPE_UINT8", [-1, 1, 8, 8])]
    assert "measured with a batch of 1" in (place / "config.pbtxt").read_text(encoding="utf-8")


def test_write_triton_early_exits_take_one_image_and_tell_the_exit_without_labels(repository):
    _, config = repository(WITH_EXITS)
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert tensors(config.input) == [("images", "TYPE_UINT8", [1, 1, 8, 8])]
    assert tensors(config.output) == [("logits", "TYPE_FP32", [1, 10]), ("exit", "TYPE_INT64", [1])]
    assert [output.label_filename for output in config.output] == ["labels.txt", ""]


def test_config_large_measured_batch_is_allowed(bundle_of):
    artifact, manifest = read(bundle_of(BATCHING))
    variant = manifest.variant.replaced(batch_size=256)
    text = config(onnx_model(artifact, manifest), manifest.model_copy(update={"variant": variant}))
    assert parsed(text).max_batch_size == 256


def test_config_tensor_names_of_any_characters_are_read_back(bundle_of):
    _, manifest = read(bundle_of(BATCHING))
    name = 'ein "Bild" \\ {ä}\n\x01'
    value = helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", 4])
    made = helper.make_tensor_value_info("y", TensorProto.UINT8, ["batch", 4])
    graph = helper.make_graph([helper.make_node("Identity", [name], ["y"])], "g", [value], [made])
    model = helper.make_model(graph)
    assert parsed(config(model.SerializeToString(), manifest)).input[0].name == name


def test_write_triton_class_name_of_two_lines_stays_one_label(bundle_of, tmp_path):
    artifact, manifest = read(bundle_of(BATCHING))
    task = manifest.task.model_copy(update={"facts": {"classes": ["a\nb", "c d"]}})
    write_triton(tmp_path, ExportPlan(artifact, manifest.model_copy(update={"task": task}), b""))
    assert (tmp_path / manifest.name / "labels.txt").read_text(encoding="utf-8") == "a b\nc d\n"
