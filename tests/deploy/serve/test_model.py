import numpy as np
import pytest
from serving_stand_ins import CLASSES, INPUT, NAME, Script, manifest_of, model_of

from explorer.deploy.serve.model import Model
from explorer.errors import VerificationFailed
from explorer.tasks.task import TensorSpec

OUTPUT = TensorSpec("logits", "float32", (6,))


def test_model_is_what_its_manifest_says():
    script = Script()
    model = Model.of_bundle(manifest_of(), script.classify)
    assert (model.name, model.facts, model.n_exits) == (NAME, {"classes": list(CLASSES)}, 3)
    assert (model.input, model.output) == (INPUT, OUTPUT)
    assert model.platform == "onnxruntime_onnx"
    assert model.is_batch_invariant
    assert model.summary == "onnxruntime, float32, 3 exits; RGB 8 × 8; 6 classes"
    model.warm_up()
    assert [batch.shape for batch in script.batches] == [(1, 3, 8, 8)]


def test_summary_says_what_there_is_not():
    manifest = manifest_of(quantization="none", n_exits=1)
    assert Model.of_bundle(manifest, Script().classify).summary.startswith("onnxruntime, float32, no early exit;")


def fail(images):
    raise RuntimeError("no such operator")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": fail}, "no such operator"),
        ({"output": TensorSpec("logits", "float32", (5,))}, r"expected logits of shape \[1, 5\], got \[1, 6\]"),
        ({"n_exits": 0}, "expected 1 exits"),
        ({"run": lambda images: (np.full((1, 6), np.inf), np.zeros(1, int))}, "not finite"),
    ],
)
def test_model_that_is_not_what_it_says_is_refused_before_it_is_served(changes, words):
    with pytest.raises(VerificationFailed, match=f"{NAME} does not classify a blank image.*{words}") as found:
        model_of(Script(), **changes).warm_up()
    assert found.value.exit_code == 4
