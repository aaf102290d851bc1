"""Again: the command line that goes on with what was interrupted, or repeats it, as a shell reads it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping


def command_line(*words: object, options: Mapping[str, object]) -> str:
    """`explore` with these words and options: one that is None or False is left out, True is a flag alone, and of a
    list each has its option.
    """
    line = ["explore", *map(str, words)]
    for option, value in options.items():
        if value is True:
            line.append(option)
        elif value is not None and value is not False:
            line += [word for one in (value if isinstance(value, list) else [value]) for word in (option, str(one))]
    return shlex.join(line)
