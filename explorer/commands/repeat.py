"""The command line that repeats the command of this process, or goes on with it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from explorer.study.store.location import url_without_secrets


def repeat_command(
    changes: Mapping[str, str | None] | None = None,
    arguments: Sequence[str] | None = None,
    added: Sequence[str] = (),
) -> str:
    """Return `explore` with `arguments` (default: those of this process), quoted for a shell in the same folder.

    `changes` maps a word (of a path its normal form) to the one that replaces it; an option that it maps to None is
    left out together with its value. The words `added` are the last options, before a `--`. The URL of --storage has no
    password.
    """
    changes = changes or {}
    words: list[str] = ["explore"]
    operands: list[str] = []
    rest = iter(sys.argv[1:] if arguments is None else arguments)
    for word in rest:
        option, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word == "--":
            operands = [word, *(changes.get(str(Path(one)), one) or one for one in rest)]
        elif option == "--storage":
            words += [option, url_without_secrets(value or next(rest, ""))]
        elif (new := changes.get(option if equals else str(Path(option)), option)) is not None:
            words.append(f"{new}{equals}{value}")
        elif not equals:
            next(rest, None)
    return shlex.join([*words, *added, *operands])
