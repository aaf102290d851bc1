"""Download one large file: test whether it is reachable, and resume after an interruption."""

from __future__ import annotations

import queue
import threading
import time
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from explorer.records import Progress

_CHUNK = 1 << 18
_SECONDS_BETWEEN_REPORTS = 0.2
_AGENT = {"User-Agent": "pareto-explorer"}  # some servers refuse requests that name no agent


def why_unreachable(url: str, timeout_s: float) -> str | None:
    """Return None when the server answers a HEAD request within `timeout_s`, else the reason.

    The proxy settings of the environment apply, as for the download.
    """
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD", headers=_AGENT)
            with _open(request, timeout_s):
                answers.put(None)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(reason(error))

    # In a thread, because a socket's timeout does not bound the resolution of the host's name.
    threading.Thread(target=ask, daemon=True, name="reachability").start()
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        return f"no answer within {timeout_s:g} s"


def reason(error: Exception) -> str:
    """Return why a request failed: the message of the cause that urllib wraps."""
    cause = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    words = cause.strerror if isinstance(cause, OSError) and cause.filename is None else None
    return words or str(cause) or type(cause).__name__


def fetch(
    url: str,
    target: Path,
    on_progress: Callable[[Progress], None],
    timeout_s: float = 10.0,
    slowest_bytes_per_s: float = 2048.0,
    most_bytes: int = 2**30,
) -> None:
    """Download `url` to `target`, resuming from the present content of `target` where the server supports that.

    Progress is in MiB, a few times a second. Raises OSError or HTTPException when the server fails, ends early, sends
    nothing for `timeout_s`, or less than `slowest_bytes_per_s` for as long; the part received stays in `target`. A file
    of more than `most_bytes` is removed, and OSError is raised.
    """
    done = target.stat().st_size if target.exists() else 0
    with _asked_from(url, done, timeout_s) as response:
        is_continued = response.status == HTTPStatus.PARTIAL_CONTENT
        if is_continued and not (response.headers.get("Content-Range") or "").startswith(f"bytes {done}-"):
            raise OSError(f"the server sent {response.headers.get('Content-Range')} when asked for byte {done} on")
        done = done if is_continued else 0
        total = done + response.length if response.length is not None else None
        rate, reported = _RateMonitor(timeout_s, slowest_bytes_per_s), float("-inf")
        with target.open("ab" if is_continued else "wb") as file:
            while chunk := response.read1(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                if done > most_bytes:
                    target.unlink()
                    raise OSError(f"the server sent more than {most_bytes} bytes")
                rate.check(len(chunk))
                if time.monotonic() - reported >= _SECONDS_BETWEEN_REPORTS or done == total:
                    reported = time.monotonic()
                    on_progress(Progress("download", done / 2**20, total / 2**20 if total else None, f"MiB of {url}"))
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _asked_from(url: str, start: int, timeout_s: float) -> Any:
    """Request `url` from byte `start` on, or from the beginning where the server has no more bytes than that.

    Raises OSError or HTTPException.
    """
    headers = _AGENT | ({"Range": f"bytes={start}-"} if start else {})
    try:
        return _open(urllib.request.Request(url, headers=headers), timeout_s)
    except HTTPError as error:
        if not start or error.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        error.close()
    return _open(urllib.request.Request(url, headers=_AGENT), timeout_s)


class _RateMonitor:
    """The monitor of a transfer's rate, over windows of `window_s`."""

    def __init__(self, window_s: float, slowest_bytes_per_s: float) -> None:
        self._window_s, self._slowest = window_s, slowest_bytes_per_s
        self._began = time.monotonic()
        self._n_bytes = 0

    def check(self, n_bytes: int) -> None:
        """Count `n_bytes`. Raises OSError at the end of a window with too few bytes."""
        self._n_bytes += n_bytes
        elapsed = time.monotonic() - self._began
        if elapsed < self._window_s:
            return
        if self._n_bytes < self._slowest * elapsed:
            raise OSError(f"it sent {self._n_bytes} bytes in {elapsed:.0f} s")
        self._began, self._n_bytes = time.monotonic(), 0


def _open(request: urllib.request.Request, timeout_s: float) -> Any:
    """Open the request with the current proxies: `urlopen` caches those of its first call."""
    return urllib.request.build_opener().open(request, timeout=timeout_s)
