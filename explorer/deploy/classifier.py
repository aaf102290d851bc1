"""The classifier of a bundle: image files in, classes out, with NumPy, Pillow and the runtime alone.

Its source, that of the staged executor and the runtime's loading functions make a bundle's run.py.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.runtimes.staged import Array, StagedExecutor

Loading = Callable[[Sequence[Path], int, str], Sequence[Any]]

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
# Modes of eight bits a channel, or fewer; Pillow would clip wider ones to white.
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK"})
# What Pillow raises for files that are no images, cut short, or damaged.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


@dataclass(frozen=True)
class Answer:
    """What the network says of one image: its class, that class's probability, and the exit taken (0: the first).

    `error` says why there is none.
    """

    file: str
    label: str | None = None
    probability: float | None = None
    exit: int | None = None
    error: str | None = None


class BundleClassifier:
    """The network of the bundle in `folder`; `load` makes segments of files, for `threads` threads (None: as measured).

    Safe to call from several threads.
    """

    def __init__(self, folder: Path, load: Loading, threads: int | None = None) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        execution = self.manifest["execution"]
        facts = json.loads((folder / "model" / "artifact.json").read_text(encoding="utf-8"))
        segments = [folder / "model" / segment["file"] for segment in facts["segments"]]
        loaded = load(segments, threads or execution["threads"], execution["quantization"])
        self.executor = StagedExecutor(loaded, execution["exit_threshold"])
        self.classes: list[str] = self.manifest["output"]["classes"]
        self.shape: tuple[int, int, int] = tuple(self.manifest["input"]["shape"])
        self.batch_size: int = self.manifest["variant"]["batch_size"]

    def classify(self, images: Array) -> tuple[Array, Array]:
        """uint8 images [b, c, h, w] -> (logits [b, k] of the exit that each image took, that exit's index [b])."""
        return self.executor.classify(images)

    def read(self, file: Path) -> Array:
        """An image file as `pixels_of` makes it. Raises one of DAMAGE, or DecompressionBombError."""
        with Image.open(file, formats=FORMATS) as image:
            return pixels_of(image, self.shape)

    def classify_files(self, files: Sequence[Path]) -> Iterator[Answer]:
        """An answer for each file, in order; classified in the batches that the network was measured in."""
        for start in range(0, len(files), self.batch_size):
            yield from self._answers(files[start : start + self.batch_size])

    def _answers(self, files: Sequence[Path]) -> list[Answer]:
        images, answers = [], {}
        for file in files:
            try:
                images.append(self.read(file))
            except (*DAMAGE, Image.DecompressionBombError) as error:
                answers[file] = Answer(str(file), error=f"not an image that Pillow reads: {error}")
        if images:
            logits, exits = self.classify(np.stack(images))
            probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
            readable = [file for file in files if file not in answers]
            for file, row, taken in zip(readable, probabilities, exits, strict=True):
                best = int(row.argmax())
                answers[file] = Answer(str(file), self.classes[best], float(row[best]), int(taken))
        return [answers[file] for file in files]


class TooManyBits(ValueError):
    """An image whose channels have more than eight bits."""


def pixels_of(image: Image.Image, shape: tuple[int, int, int]) -> Array:
    """An image as uint8 [c, h, w] of `shape`: gray or RGB, its transparency dropped, resized if it has another size.

    Raises TooManyBits, and one of DAMAGE.
    """
    channels, height, width = shape
    if image.mode not in _MODES:
        raise TooManyBits(
            f"the image has more than eight bits a channel ({image.mode}): convert it to eight bits first"
        )
    # Pillow warns about palettes with transparent colors unless they go through RGBA.
    flat = image.convert("RGBA") if image.mode == "P" and "transparency" in image.info else image
    flat = flat.convert("L" if channels == 1 else "RGB")
    if flat.size != (width, height):
        flat = flat.resize((width, height), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(flat).reshape(height, width, channels).transpose(2, 0, 1))


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The paths that are files, and the images in those that are folders, however deep, by name."""
    found = []
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES) if path.is_dir() else []
        found += inside if path.is_dir() else [path]
    return found


def main(make: Callable[[int | None], BundleClassifier], arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0; 1 when an image could not be read; 2 when there is none."""
    parser = argparse.ArgumentParser(description="Classify images with the network in this folder.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="IMAGE", help="an image file, or a folder of them")
    parser.add_argument("--threads", type=int, help="threads of the runtime (else as measured)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    options = parser.parse_args(arguments)
    files = image_files(options.paths)
    if not files:
        print(f"no images in {', '.join(map(str, options.paths))}", file=sys.stderr)
        return 2
    n_unread = 0
    for answer in make(options.threads).classify_files(files):
        n_unread += answer.error is not None
        if options.json:
            print(json.dumps(asdict(answer)))
        elif answer.error is not None:
            print(f"{answer.file}: {answer.error}", file=sys.stderr)
        else:
            print(f"{answer.file}: {answer.label} ({answer.probability:.1%}, exit {answer.exit})")
    return 1 if n_unread else 0
