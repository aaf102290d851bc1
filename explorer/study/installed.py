"""What of a search space this machine can run: the part of it whose runtimes are installed."""

from __future__ import annotations

from dataclasses import replace

from explorer.errors import RuntimeNotAvailable
from explorer.runtimes.registry import runtime
from explorer.space.values import SearchSpace, Vocabulary


def installed_part(space: SearchSpace, vocabulary: Vocabulary) -> tuple[SearchSpace, dict[str, str]]:
    """The space without the runtimes that are not installed, and why each of them is left out.

    Raises RuntimeNotAvailable when the baseline's is one of them, or when nothing is left that could be executed.
    """
    wanted = space.parameters["runtime"]
    left_out = {str(name): why for name in wanted.values if (why := runtime(str(name)).missing())}
    reasons = "; ".join(left_out.values())
    if (baseline := space.baseline().runtime) in left_out:
        raise RuntimeNotAvailable(f"the baseline runs on {baseline}, which cannot be left out: {left_out[baseline]}")
    values = tuple(name for name in wanted.values if name not in left_out)
    part = replace(space, parameters={**space.parameters, "runtime": replace(wanted, values=values)})
    if left_out and not part.executions(vocabulary):
        raise RuntimeNotAvailable(f"without the runtimes that are not installed no variant is left: {reasons}")
    return part, left_out
