import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_stand_ins import NAME, Script, image, model_of

from explorer.deploy.serve.counters import Metrics


@pytest.fixture
def metrics():
    return Metrics(model_of(Script()))


def test_metrics_are_there_before_anything_happens(metrics):
    families = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    assert {"explore_exits", "explore_queue_length", "explore_requests", "explore_rejected_requests"} <= families.keys()
    exits = {s.labels["exit"]: s.value for s in families["explore_exits"].samples if s.name.endswith("_total")}
    assert exits == {"0": 0, "1": 0, "2": 0}
    assert families["explore_model_info"].samples[0].labels == {"name": NAME, "version": "1"}
    assert all(family.documentation for family in families.values() if not family.name.endswith("_created"))


def test_metrics_add_up(served):
    client = served.client()
    sizes = [1, 3, 2, 5]
    for n_images in sizes:
        assert len(client.infer(*[image(n) for n in range(n_images)])["exits"]) == n_images
    client.infer(image(1), inputs=3)
    samples = served.samples()
    exits = [samples["explore_exits_total", (("exit", str(index)),)] for index in range(3)]
    assert exits == [1 + 1 + 1 + 2, 1 + 1 + 2, 1 + 1]
    assert sum(exits) == samples["explore_batch_images_sum", ()] == sum(sizes)
    assert samples["explore_batch_images_count", ()] == samples["explore_inference_duration_seconds_count", ()] == 4
    buckets = [value for (name, _), value in samples.items() if name == "explore_inference_duration_seconds_bucket"]
    assert max(buckets) == 4
    assert buckets == sorted(buckets)


def test_metrics_media_type_is_prometheus_text(client):
    status, headers, _ = client.ask("/metrics")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


def test_sentence_counts_what_happened(metrics):
    for status, n_requests in ((200, 5), (400, 2), (503, 3), (500, 1), (499, 1)):
        for _ in range(n_requests):
            metrics.answered("/v2", status, 0.1)
    metrics.ran(np.array([0, 2, 2]), 0.1)
    assert metrics.sentence() == "requests 12 (refused 5, failed 1, abandoned 1), images classified 3"
