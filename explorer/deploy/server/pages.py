"""The page and its files: in a table by name, so that no request ever names a path."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template

from explorer.deploy.server.model import Model

_TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
_PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file's bytes and its media type."""

    content: bytes
    media_type: str


def page_files(model: Model) -> Mapping[str, PageFile]:
    """The page, under the name "", and what it loads; read once."""
    table = {}
    for file in files("explorer.deploy.server").joinpath("page").iterdir():
        content = file.read_bytes()
        if file.name == _PAGE:
            text = Template(content.decode("utf-8"))
            content = text.substitute(name=html.escape(model.name), summary=html.escape(model.summary)).encode("utf-8")
        name = "" if file.name == _PAGE else file.name
        table[name] = PageFile(content, _TYPES[file.name.rpartition(".")[2]])
    return table
