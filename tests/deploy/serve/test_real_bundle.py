"""Real bundles of every kind, served: what comes back is what was measured."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # kinds.py is of the folder above

from kinds import KINDS

from explorer.deploy.serve.model import Model
from explorer.deploy.serve.server import ModelServer
from explorer.deploy.serve.workers import Options
from explorer.deploy.verify.bundle import read_bundle

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_answers_what_was_measured_to_many_at_once(bundle_of, client_of, kind):
    bundle = read_bundle(bundle_of(kind))
    manifest, executor, faults = bundle.manifest, bundle.executor(), []
    model = Model.of_bundle(manifest, executor.classify)
    model.warm_up()
    server = ModelServer(model, Options(workers=2), port=0, on_fault=faults.append)
    with np.load(bundle.folder / "samples.npz") as samples:
        images, of_exits = samples["inputs"], samples["outputs"]
    size = manifest.variant["batch_size"]
    batches = [images[start : start + size] for start in range(0, len(images), size)]
    try:
        with ThreadPoolExecutor(8) as crowd:
            answers = list(crowd.map(lambda batch: client_of(server.port, manifest.name).infer_binary(batch), batches))
    finally:
        server.stop()
    for batch, (logits, exits, classes) in zip(batches, answers, strict=True):
        expected, expected_exits = executor.classify(batch)
        assert np.array_equal(logits, expected)
        assert np.array_equal(exits, expected_exits)
        assert classes == [manifest.labels[index] for index in expected.argmax(axis=1)]
    exits = np.concatenate([exits for _, exits, _ in answers])
    measured = of_exits[exits, np.arange(len(images))]
    difference = abs(np.concatenate([logits for logits, _, _ in answers]) - measured).max()
    assert difference <= manifest.samples.tolerance * max(1.0, abs(measured).max())
    assert faults == []
