from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from serving_stand_ins import CLASSES, NAME, Script, image, model_of

from explorer.data.images import decode_tree
from explorer.data.tree import read_tree
from explorer.deploy.serve.app import answer_to_file, input_of
from explorer.deploy.serve.requests import Refused
from explorer.deploy.serve.workers import Outcome
from explorer.tasks import classification_files
from explorer.tasks.task import TensorSpec

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")


def input_from(content, shape):
    """The input in a file, for a model of images of that shape."""
    return input_of(content, model_of(Script(), input=TensorSpec("images", "uint8", shape)))


def drawn(mode, size=(12, 10)):
    """A picture with gradients and a hard edge, in that mode."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    alpha = np.where(x < 6, 255, 40)
    rgba = np.stack([x * 20, y * 25, (x * y * 3) % 256, alpha], axis=-1).astype(np.uint8)
    return Image.fromarray(rgba, "RGBA").convert("RGB" if mode in ("CMYK", "P", "1", "L") else "RGBA").convert(mode)


def encoded(picture, form, **options):
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def files_of(mode):
    picture = drawn(mode)
    if mode == "CMYK":
        return {"jpg": encoded(picture, "JPEG")}
    found = {"png": encoded(picture, "PNG")}
    if mode == "P":
        found["gif"] = encoded(picture, "GIF")
        found["transparent.png"] = encoded(picture, "PNG", transparency=3)
    if mode == "RGB":
        found |= {"jpg": encoded(picture, "JPEG"), "bmp": encoded(picture, "BMP"), "webp": encoded(picture, "WEBP")}
    return found


CASES = [(mode, name) for mode in MODES for name in files_of(mode)]


@pytest.mark.parametrize(("mode", "name"), CASES)
def test_pixels_are_those_that_the_data_sets_decoder_gives(tmp_path, mode, name):
    content = files_of(mode)[name]
    for place in ("train/a", "test/a", "train/b", "test/b"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / f"0.{name}").write_bytes(content)
    decoded = decode_tree(read_tree(tmp_path), lambda progress: None).train_inputs[:1]
    pixels = input_from(content, (3, 10, 12))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, decoded)


@pytest.mark.parametrize(("mode", "name"), CASES)
@pytest.mark.parametrize("shape", [(3, 10, 12), (3, 8, 8), (1, 8, 8), (1, 20, 30)])
def test_pixels_are_those_that_a_bundles_own_program_gives(tmp_path, mode, name, shape):
    content = files_of(mode)[name]
    path = tmp_path / name
    path.write_bytes(content)
    assert np.array_equal(input_from(content, shape)[0], classification_files.read(path, shape))


def test_pixels_of_the_models_size_are_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    made = input_from(encoded(Image.fromarray(pixels), "PNG"), (3, 8, 8))
    assert np.array_equal(made[0].transpose(1, 2, 0), pixels)
    assert made.flags.c_contiguous


@pytest.mark.parametrize("n_kept", [0, 1, 20, 33, 60, 200])
def test_files_that_are_cut_short_are_refused(n_kept):
    for name, content in files_of("RGB").items():
        with pytest.raises(Refused, match=r"not an image file|damaged or cut short") as found:
            input_from(content[: min(n_kept, len(content) // 2)], (3, 8, 8))
        assert found.value.status == 415, name


def test_files_that_are_damaged_are_refused_or_decoded_and_nothing_else():
    random = np.random.default_rng(0)
    for mode in MODES:
        for content in files_of(mode).values():
            for _ in range(60):
                damaged = bytearray(content)
                for place in random.integers(0, len(damaged), 3):
                    damaged[place] = random.integers(0, 256)
                assert outcome_of(bytes(damaged)) in ((1, 3, 8, 8), 413, 415)


def outcome_of(content):
    try:
        return input_from(content, (3, 8, 8)).shape
    except Refused as refused:
        return refused.status


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


def test_answer_to_file_of_extreme_logits_is_finite_and_of_equal_ones_in_order():
    def of(*logits):
        outcome = Outcome(np.array([logits], dtype=np.float32), np.array([2]), 0.0, 0.0, 1.23456)
        return answer_to_file(outcome, model_of(Script()))

    extreme = of(-3e38, 3e38, 0, 0, 0, 0)
    assert extreme["classes"][0] == {"name": "bee", "probability": 1.0}
    assert [one["name"] for one in of(1, 1, 1, 1, 1, 1)["classes"]] == list(CLASSES[:5])
    assert extreme["inference_ms"] == 1.235


def test_answer_to_file_of_few_classes_has_them_all():
    outcome = Outcome(np.array([[0.0, 1.0]], dtype=np.float32), np.array([0]), 0.0, 0.0, 1.0)
    made = answer_to_file(outcome, model_of(Script(), facts={"classes": ["no", "yes"]}, n_exits=1))
    assert [one["name"] for one in made["classes"]] == ["yes", "no"]
