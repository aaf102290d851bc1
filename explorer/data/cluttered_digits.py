"""Cluttered digits: 14,000 small images of scikit-learn's digits with clutter, noise and uneven light, deterministic.

Nothing is downloaded. Every image shows one of the 1797 digits, which is its class, among fragments of others. Each
digit has one role only: 1200 make the training split, ten images each, which stay together when validation images are
held out; 400 make the test split, five images each; the other 197 give the fragments.

Every step is elementary arithmetic, and the random numbers are those of NumPy's frozen RandomState (NEP 19): the same
seed gives the same bytes on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.data import digits
from explorer.data.dataset import RawDataset
from explorer.data.source import Source
from explorer.data.splits import Indices, stratified
from explorer.records import Progress
from explorer.space.values import DataSettings

_SEED = 0
_N_TEST, _N_PIECES = 400, 197
_PER_TRAINING_DIGIT, _PER_TEST_DIGIT = 10, 5
_VERSION = "cluttered digits 1"  # raised whenever other images are drawn

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scene:
    """The distribution of images; positions and sizes are shares of the image's side, brightness shares of the range.

    size         least and largest side of a drawing
    warp         largest deviation of an entry of the affine map's matrix from the identity's
    shift        largest distance of a drawing from the center, down and right
    n_fragments  fragments of other drawings on each image, at any position
    fragment     least and largest half side of a fragment, in pixels of the drawing that it is cut from
    contrast     least and largest difference between ink and background; half of the images have dark ink
    brightness   largest change of all pixels together
    slope        largest change of the background from one side to the other
    noise        largest change of a single pixel is twice this
    """

    side: int = 15
    size: tuple[float, float] = (0.5, 0.85)
    warp: float = 0.25
    shift: float = 0.12
    n_fragments: int = 3
    fragment: tuple[float, float] = (0.8, 1.8)
    contrast: tuple[float, float] = (0.6, 1.0)
    brightness: float = 0.1
    slope: float = 0.2
    noise: float = 0.05


def draw(drawings: Floats, others: Floats, scene: Scene, random: np.random.RandomState) -> NDArray[np.uint8]:
    """Draw one image of each of `drawings` [n, h, w], with fragments of `others` [m, h, w]: uint8 [n, 1, side, side].

    Ink is from 0 to 1 in both.
    """
    n = len(drawings)
    middle = np.tile((np.array(drawings.shape[1:]) - 1) / 2, (n, 1))
    where = scene.side * uniform(random, -scene.shift, scene.shift, (n, 2))
    ink = _placed(drawings, _matrices(n, drawings.shape[1], scene, random), where, middle, None, scene.side)
    for _ in range(scene.n_fragments):
        chosen = others[random.randint(0, len(others), n)]
        center = 2 * middle * uniform(random, 0.15, 0.85, (n, 2))
        where = scene.side * uniform(random, -0.5, 0.5, (n, 2))
        half = uniform(random, *scene.fragment, (n, 2))
        piece = _placed(chosen, _matrices(n, others.shape[1], scene, random), where, center, half, scene.side)
        ink = np.maximum(ink, uniform(random, 0.6, 1.0, (n, 1, 1)) * piece)
    return _lit(ink, scene, random)[:, None]


def uniform(random: np.random.RandomState, low: float, high: float, shape: tuple[int, ...]) -> Floats:
    """Return numbers [*shape] in [low, high); unlike RandomState.uniform, rounded alike by every compiler."""
    return low + (high - low) * random.random_sample(shape)


def _matrices(n: int, side: int, scene: Scene, random: np.random.RandomState) -> Floats:
    """Return maps [n, 2, 2] from positions on the image to positions on a drawing of `side` pixels."""
    scale = side / (scene.side * uniform(random, *scene.size, (n, 1, 1)))
    return scale * (np.eye(2) + uniform(random, -scene.warp, scene.warp, (n, 2, 2)))


def _placed(
    drawings: Floats, matrices: Floats, where: Floats, center: Floats, half: Floats | None, side: int
) -> Floats:
    """Resample each of `drawings` [n, h, w] with its `center` [n, 2] at `where` [n, 2] from the image's center.

    `matrices` [n, 2, 2] map from the image to the drawing. Only the part within `half` [n, 2] of the center is drawn;
    None: all of it. Returns [n, side, side].
    """
    steps = np.arange(side) - (side - 1) / 2
    down = steps[:, None] - where[:, 0, None, None]
    right = steps[None, :] - where[:, 1, None, None]
    rows, columns = (matrices[:, i, 0, None, None] * down + matrices[:, i, 1, None, None] * right for i in (0, 1))
    ink = _interpolated(drawings, rows + center[:, 0, None, None], columns + center[:, 1, None, None])
    if half is None:
        return ink
    is_seen = (np.abs(rows) <= half[:, 0, None, None]) & (np.abs(columns) <= half[:, 1, None, None])
    return np.where(is_seen, ink, 0.0)


def _interpolated(drawings: Floats, y: Floats, x: Floats) -> Floats:
    """Return the ink of each of `drawings` [n, h, w] at `y`, `x` [n, ...], bilinear, zero outside of a drawing."""
    n, height, width = drawings.shape
    rim = np.zeros((n, height + 3, width + 3))
    rim[:, 1 : height + 1, 1 : width + 1] = drawings
    y, x = np.clip(y, -1, height) + 1, np.clip(x, -1, width) + 1
    top, left = y.astype(np.int64), x.astype(np.int64)
    low, far = y - top, x - left
    first = (np.arange(n)[:, None, None] * (height + 3) + top) * (width + 3) + left
    upper, lower = (rim.take(first + skip) * (1 - far) + rim.take(first + skip + 1) * far for skip in (0, width + 3))
    ink: Floats = upper * (1 - low) + lower * low
    return ink


def _lit(ink: Floats, scene: Scene, random: np.random.RandomState) -> NDArray[np.uint8]:
    """Render ink [n, side, side] from 0 to 1 as pixels: contrast, a sloping background, brightness, noise."""
    n, side, _ = ink.shape
    contrast = uniform(random, *scene.contrast, (n, 1, 1))
    is_dark = random.random_sample((n, 1, 1)) < 0.5
    across = np.arange(side) / (side - 1) - 0.5
    down, right = uniform(random, -scene.slope, scene.slope, (2, n, 1, 1))
    light = 0.5 + np.where(is_dark, -contrast, contrast) * (ink - 0.5)
    light += down * across[:, None] + right * across[None, :]
    light += uniform(random, -scene.brightness, scene.brightness, (n, 1, 1))
    for _ in range(2):
        light += uniform(random, -scene.noise, scene.noise, light.shape)
    pixels: NDArray[np.uint8] = np.clip(np.rint(255 * light), 0, 255).astype(np.uint8)
    return pixels


def locate(settings: DataSettings, root: Path) -> Source:
    """Find the file inside the installed scikit-learn, which is not imported. Raises DataNotAvailable without it."""
    return replace(digits.locate(settings, root), dataset="cluttered_digits", drawn_by=_VERSION)


def read(source: Source, on_progress: Callable[[Progress], None]) -> RawDataset:
    """Draw every image, uint8 [n, 1, 15, 15]; takes a few seconds."""
    from sklearn.datasets import load_digits

    on_progress(Progress("draw cluttered digits"))
    scene, found = Scene(), load_digits()
    drawings, labels = found.images / digits.BRIGHTEST, found.target.astype(np.int64)
    train, test, pieces = roles(labels)
    random = np.random.RandomState(_SEED)
    train_originals, test_originals = np.repeat(train, _PER_TRAINING_DIGIT), np.repeat(test, _PER_TEST_DIGIT)
    return RawDataset(
        train_inputs=draw(drawings[train_originals], drawings[pieces], scene, random),
        train_targets=labels[train_originals],
        test_inputs=draw(drawings[test_originals], drawings[pieces], scene, random),
        test_targets=labels[test_originals],
        facts={"classes": [str(name) for name in found.target_names]},
        train_originals=train_originals,
    )


def roles(labels: Indices) -> tuple[Indices, Indices, Indices]:
    """Return the digits for training, testing and fragments: indices into `labels` [n], stratified and disjoint."""
    test = stratified(labels, _N_TEST)
    others = np.setdiff1d(np.arange(len(labels)), test)
    pieces = others[stratified(labels[others], _N_PIECES)]
    return np.setdiff1d(others, pieces), test, pieces
