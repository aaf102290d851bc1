"""One large file from the network: whether it can be had, and getting it, continued after an interruption."""

from __future__ import annotations

import queue
import threading
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from explorer.records import Progress

_CHUNK = 1 << 18
_AGENT = {"User-Agent": "pareto-explorer"}  # some servers refuse requests that name no agent


def why_unreachable(url: str, timeout_s: float) -> str | None:
    """None when the server answers a HEAD request within `timeout_s`, else the reason that it does not.

    Honors the proxy settings of the environment, as the download will.
    """
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD", headers=_AGENT)
            with _open(request, timeout_s):
                answers.put(None)
        except (OSError, HTTPException, ValueError) as error:
            answers.put(reason(error))

    # A thread of its own, because the timeout of a socket does not bound the search for the host's address.
    threading.Thread(target=ask, daemon=True, name="reachability").start()
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        return f"no answer within {timeout_s:g} s"


def reason(error: Exception) -> str:
    """Why a request failed, in the words of the cause that urllib wraps."""
    cause = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    return str(cause) or type(cause).__name__


def fetch(url: str, target: Path, on_progress: Callable[[Progress], None], timeout_s: float = 30.0) -> None:
    """Download `url` to `target`, going on from what `target` already has where the server can.

    Progress is in MiB. Raises OSError or HTTPException when the server fails, says nothing for `timeout_s`, or ends
    early; what came stays in `target`.
    """
    done = target.stat().st_size if target.exists() else 0
    headers = _AGENT | ({"Range": f"bytes={done}-"} if done else {})
    with _open(urllib.request.Request(url, headers=headers), timeout_s) as response:
        is_continued = response.status == HTTPStatus.PARTIAL_CONTENT
        done = done if is_continued else 0
        total = done + response.length if response.length is not None else None
        with target.open("ab" if is_continued else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                on_progress(Progress("download", done / 2**20, total / 2**20 if total else None, f"MiB of {url}"))
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _open(request: urllib.request.Request, timeout_s: float) -> Any:
    """The response, with the proxies of now: `urlopen` keeps those of its first call for the process's life."""
    return urllib.request.build_opener().open(request, timeout=timeout_s)
