import io

import numpy as np
import pytest
from PIL import Image

from explorer.data.images import decode_tree
from explorer.data.tree import read_tree
from explorer.deploy.classifier import BundleClassifier
from explorer.deploy.server.pictures import picture
from explorer.deploy.server.refusals import Refused

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")


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
    decoded = decode_tree(read_tree(tmp_path), lambda progress: None).train_images[:1]
    pixels = picture(content, (3, 10, 12))
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, decoded)


@pytest.mark.parametrize(("mode", "name"), CASES)
@pytest.mark.parametrize("shape", [(3, 10, 12), (3, 8, 8), (1, 8, 8), (1, 20, 30)])
def test_pixels_are_those_that_a_bundles_own_program_gives(tmp_path, mode, name, shape):
    content = files_of(mode)[name]
    path = tmp_path / name
    path.write_bytes(content)
    program = BundleClassifier.__new__(BundleClassifier)  # no model is needed to read a file
    program.shape = shape
    assert np.array_equal(picture(content, shape)[0], program.read(path))


def test_pixels_of_the_models_size_are_not_touched():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    made = picture(encoded(Image.fromarray(pixels), "PNG"), (3, 8, 8))
    assert np.array_equal(made[0].transpose(1, 2, 0), pixels)
    assert made.flags.c_contiguous


@pytest.mark.parametrize("n_kept", [0, 1, 20, 33, 60, 200])
def test_files_that_are_cut_short_are_refused(n_kept):
    for name, content in files_of("RGB").items():
        with pytest.raises(Refused, match=r"not an image file|damaged or cut short") as found:
            picture(content[: min(n_kept, len(content) // 2)], (3, 8, 8))
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
        return picture(content, (3, 8, 8)).shape
    except Refused as refused:
        return refused.status
