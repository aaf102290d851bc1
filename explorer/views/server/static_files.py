"""Static files: the page's scripts and styles and plotly.js, in a table by name; no request ever names a path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_TYPES = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
# Its name stays when plotly is updated: a day is longer than anybody stares at one page.
_PLOTLY_CACHE = "private, max-age=86400, immutable"


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file's bytes, its media type, and how long a browser may keep it."""

    content: bytes
    media_type: str
    cache: str = "no-store"


def static_files() -> Mapping[str, StaticFile]:
    """Every file that the page may ask for."""
    from plotly.offline import get_plotlyjs  # here, so that a study without readers starts without plotly

    table = {"plotly.min.js": StaticFile(get_plotlyjs().encode("utf-8"), _TYPES["js"], _PLOTLY_CACHE)}
    for file in files("explorer.views").joinpath("page").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            table[file.name] = StaticFile(file.read_bytes(), media_type)
    return table
