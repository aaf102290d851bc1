from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from explorer.data.download import fetch, why_unreachable
from explorer.records import Progress

CONTENT = bytes(range(256)) * 4096


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; at /cut the first request ends half-way; ranges are honored except at /whole."""

    n_cuts = 1

    def do_HEAD(self) -> None:
        self.send_response(404 if self.path == "/absent" else 200)
        self.end_headers()

    def do_GET(self) -> None:
        start = 0
        wanted = self.headers.get("Range")
        if wanted and self.path != "/whole":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if self.path == "/cut" and self.server.n_cuts:  # type: ignore[attr-defined]
            self.server.n_cuts -= 1  # type: ignore[attr-defined]
            self.wfile.write(CONTENT[start : len(CONTENT) // 2])
        else:
            self.wfile.write(CONTENT[start:])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.n_cuts = 1  # type: ignore[attr-defined]
    thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()
    thread.join()


def test_why_unreachable_server_that_answers_is_reachable(server: str) -> None:
    assert why_unreachable(f"{server}/file", 5) is None


def test_why_unreachable_absent_file_says_so(server: str) -> None:
    assert "404" in (why_unreachable(f"{server}/absent", 5) or "")


def test_why_unreachable_nobody_listens_says_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert "refused" in (why_unreachable(f"http://127.0.0.1:{port}/file", 5) or "")


def test_why_unreachable_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cause = why_unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}/file", 0.1)
    assert "timed out" in (cause or "") or "no answer" in (cause or "")


def test_fetch_whole_file_reports_progress_in_mib(server: str, tmp_path: Path) -> None:
    seen: list[Progress] = []
    fetch(f"{server}/file", tmp_path / "file", seen.append)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("download", 1.0, 1.0)


@pytest.mark.parametrize("path", ["cut", "whole"])
def test_fetch_after_a_cut_goes_on_or_begins_again(server: str, tmp_path: Path, path: str) -> None:
    target = tmp_path / "file"
    with pytest.raises(OSError, match="the connection ended after 524288 of 1048576 bytes"):
        fetch(f"{server}/cut", target, lambda _: None)
    assert target.stat().st_size == len(CONTENT) // 2
    fetch(f"{server}/{path}", target, lambda _: None)
    assert target.read_bytes() == CONTENT
