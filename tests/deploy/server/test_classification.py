import io

import numpy as np
import pytest
from PIL import Image
from serving_stand_ins import CLASSES, NAME, Script, image, model_of

from explorer.deploy.server.classification import verdict
from explorer.deploy.server.workers import Outcome


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def form(content, name="image"):
    head = (
        f'--edge\r\nContent-Disposition: form-data; name="{name}"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    note = '--edge\r\nContent-Disposition: form-data; name="note"\r\n\r\nmine\r\n'
    return note.encode() + head.encode() + content + b"\r\n--edge--\r\n"


@pytest.mark.parametrize("is_form", [False, True])
def test_image_file_gets_its_classes_its_exit_and_its_time(client, is_form):
    pixels = image(4, 0, 3, 6, 5, 1)
    content = form(png(pixels)) if is_form else png(pixels)
    headers = {"Content-Type": "multipart/form-data; boundary=edge"} if is_form else {"Content-Type": "image/png"}
    status, _, answer = client.ask("/classify", content, headers)
    logits = np.array([4, 0, 3, 6, 5, 1])
    probabilities = np.exp(logits) / np.exp(logits).sum()
    assert status == 200
    assert [one["name"] for one in answer["classes"]] == [CLASSES[index] for index in (3, 4, 0, 2, 5)]
    assert [one["probability"] for one in answer["classes"]] == pytest.approx(probabilities[[3, 4, 0, 2, 5]])
    assert (answer["model_name"], answer["exit"], answer["n_exits"]) == (NAME, 1, 3)
    assert all(answer[name] >= 0 for name in ("inference_ms", "decode_ms", "queue_ms"))


def test_image_of_another_size_and_color_is_fitted(client):
    buffer = io.BytesIO()
    Image.new("L", (300, 200), 7).save(buffer, "JPEG")
    status, _, answer = client.ask("/classify", buffer.getvalue())
    assert status == 200
    assert [one["probability"] for one in answer["classes"]] == pytest.approx([1 / 6] * 5)


def test_verdict_of_extreme_logits_is_finite_and_of_equal_ones_in_order():
    def of(*logits):
        outcome = Outcome(np.array([logits], dtype=np.float32), np.array([2]), 0.0, 0.0, 1.23456)
        return verdict(outcome, model_of(Script()))

    extreme = of(-3e38, 3e38, 0, 0, 0, 0)
    assert extreme["classes"][0] == {"name": "bee", "probability": 1.0}
    assert [one["name"] for one in of(1, 1, 1, 1, 1, 1)["classes"]] == list(CLASSES[:5])
    assert extreme["inference_ms"] == 1.235


def test_verdict_of_few_classes_has_them_all():
    outcome = Outcome(np.array([[0.0, 1.0]], dtype=np.float32), np.array([0]), 0.0, 0.0, 1.0)
    made = verdict(outcome, model_of(Script(), classes=("no", "yes"), n_exits=1))
    assert [one["name"] for one in made["classes"]] == ["yes", "no"]
