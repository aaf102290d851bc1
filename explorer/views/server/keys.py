"""Keys: who may look, and who may write. A token a start, which the link carries and the browser keeps as a cookie.

Another token is what the page asks for before it writes: no other site can read it.

A page that is open when the program is started again goes on with the cookie that it has: the hashes of the last tokens
of this study and port are kept in the user's cache for a day, readable by the user alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from explorer.cache import cache_root
from explorer.hashing import content_key

_TOKEN_BYTES = 24
_N_KEPT = 4
_KEPT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Keys:
    """The token of this start, the SHA-256 of those of earlier ones, and the one that who may look needs to write."""

    token: str
    earlier: tuple[str, ...] = ()
    to_write: str = field(default_factory=lambda: secrets.token_urlsafe(_TOKEN_BYTES))

    def is_token(self, text: str) -> bool:
        """Whether `text` is the token of this start; takes as long for any other."""
        return secrets.compare_digest(_hashed(text), _hashed(self.token))

    def opens(self, text: str) -> bool:
        """Whether `text` is the token of this start or of a recent one."""
        return any(secrets.compare_digest(_hashed(text), known) for known in (_hashed(self.token), *self.earlier))

    def allows_writing(self, text: str) -> bool:
        """Whether `text` is the token that the page was given; takes as long for any other."""
        return secrets.compare_digest(_hashed(text), _hashed(self.to_write))


def new_keys(folder: Path, port: int) -> Keys:
    """A new token for the study in `folder` at that port; the earlier ones are recalled."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    place = cache_root() / "dashboard" / f"{content_key([str(folder.resolve()), port])}.json"
    now = time.time()
    earlier = [(known, since) for known, since in _recalled(place) if 0 <= now - since < _KEPT_S]
    _remember(place, [*earlier[-_N_KEPT + 1 :], (_hashed(token), now)])
    return Keys(token, tuple(known for known, _ in earlier))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _recalled(place: Path) -> list[tuple[str, float]]:
    """What was kept; nothing where there is nothing that reads, and then open pages ask for the new link."""
    try:
        kept = json.loads(place.read_text(encoding="ascii"))
        return [(str(known), float(since)) for known, since in kept]
    except (OSError, ValueError, TypeError):
        return []


def _remember(place: Path, kept: list[tuple[str, float]]) -> None:
    draft = place.with_name(f".{place.name}.{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(kept, file)
        os.replace(draft, place)
    except OSError:
        # A cache that cannot be written costs only this: open pages ask for the new link after a restart.
        with suppress(OSError):
            draft.unlink()
