import socket

import pytest

from explorer.web import addresses
from explorer.web.addresses import NoPort, address_to_open, allowed_hosts, is_loopback, listening


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", True), ("::1", True), ("localhost", True)])
def test_loopback_is_known_by_name_and_address(host, expected):
    assert is_loopback(host) is expected
    assert allowed_hosts(host, 8321) == {"127.0.0.1:8321", "localhost:8321", "[::1]:8321"}


def test_port_that_browsers_leave_out_may_be_left_out():
    names = {"127.0.0.1", "localhost", "[::1]"}
    assert allowed_hosts("127.0.0.1", 80) == names | {f"{name}:80" for name in names}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_everything_else_is_no_loopback(host):
    assert not is_loopback(host)


def test_hosts_of_an_open_server_are_this_machines_names_only():
    hosts = allowed_hosts("0.0.0.0", 80)
    assert {"127.0.0.1:80", "0.0.0.0:80"} < hosts
    assert "evil.example:80" not in hosts


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
        ("LocalHost", "http://localhost:8000"),
        ("192.0.2.1", "http://192.0.2.1:8000"),
    ],
)
def test_address_to_open_is_one_that_a_browser_here_reaches(host, expected):
    assert address_to_open(host, 8000) == expected


def test_port_that_is_taken_is_refused_in_one_sentence():
    with listening("127.0.0.1", 0, 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NoPort, match=f"port {port} of 127.0.0.1 is not available.*--port") as found:
            listening("127.0.0.1", port, port)
    assert found.value.exit_code == 5


def test_default_port_that_is_taken_gives_way_to_the_next_and_then_to_any(monkeypatch):
    with listening("127.0.0.1", 0, 0) as taken:
        port = taken.getsockname()[1]
        with listening("127.0.0.1", None, port) as other:
            assert other.getsockname()[1] != port
        monkeypatch.setattr(addresses, "_N_PORTS", 1)
        with listening("127.0.0.1", None, port) as other:
            assert other.getsockname()[1] != port


def test_listening_socket_takes_a_client_before_anybody_accepts():
    with listening("127.0.0.1", 0, 0) as server, socket.create_connection(server.getsockname(), timeout=120) as client:
        assert client.getpeername() == server.getsockname()


@pytest.mark.parametrize(
    ("host", "words"), [("192.0.2.1", r"cannot listen on 192\.0\.2\.1"), ("no such name", "--host no such name")]
)
def test_host_that_is_none_of_ours_is_refused_in_one_sentence(host, words):
    with pytest.raises(NoPort, match=words):
        listening(host, 0, 0)
