import http.client

import pytest
from serving_stand_ins import NAME, image

PATHS = ("/", "/page/page.js", "/v2", f"/v2/models/{NAME}", "/metrics", "/nowhere", f"/v2/models/{NAME}/infer")


def ask(served, path, method="GET", headers=()):
    """With exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST"])
def test_host_of_loopback_with_the_port_is_answered(served, name):
    assert ask(served, "/v2", headers=[("Host", f"{name}:{served.port}")])[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "0.0.0.0:{port}"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_host_that_is_not_ours_is_refused(served, host, method):
    status, headers, body = ask(served, f"/v2/models/{NAME}", method, [("Host", host.format(port=served.port))])
    assert status == 403
    assert b"answers to the addresses of the machine" in body
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:{port}", 200), ("http://evil.example", 403), ("null", 403), ("https://127.0.0.1:{port}", 403)],
)
def test_other_sites_are_refused_by_their_origin(served, origin, status):
    headers = [("Host", f"127.0.0.1:{served.port}"), ("Origin", origin.format(port=served.port))]
    assert ask(served, "/v2", headers=headers)[0] == status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "evil.example"])
def test_every_answer_forbids_the_browser_what_it_does_not_need(served, path, host):
    _, headers, _ = ask(served, path, headers=[("Host", host.format(port=served.port))])
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert not {"server", "access-control-allow-origin", "set-cookie"} & headers.keys()


def test_every_request_is_counted_by_route_and_status(served):
    client = served.client()
    client.infer(image(1))
    client.infer(image(2), inputs=[])
    for path in (f"/v2/models/{NAME}", "/v2/models/other", "/nowhere", "/elsewhere", "/page/page.js"):
        client.ask(path)
    client.ask(f"/v2/models/{NAME}/infer")
    ask(served, "/v2", headers=[("Host", "evil.example")])
    samples = served.samples()
    found = {
        (labels["route"], labels["status"]): value
        for (name, of_sample), value in samples.items()
        if name == "explore_requests_total" and (labels := dict(of_sample))
    }
    infer, model = "/v2/models/{name}/infer", "/v2/models/{name}"
    assert found == {
        (infer, "200"): 1,
        (infer, "400"): 1,
        (infer, "405"): 1,
        (model, "200"): 1,
        (model, "404"): 1,
        ("other", "404"): 2,
        ("other", "403"): 1,
        ("/page/{file}", "200"): 1,
    }
    for route in (infer, model, "other"):
        n_requests = sum(value for (of, _), value in found.items() if of == route)
        assert samples["explore_request_duration_seconds_count", (("route", route),)] == n_requests
