"""The live object: what happens in a study at this moment, JSON-ready; it goes beside the snapshot.

{"progress": {"stage", "done", "total": number | null, "note", "seconds_left": number | null: of this stage} | null,
 "running": {"trial", "variant": text} | null,
 "confirming": like "progress" | null: finalists are being measured again,
 "status": "running" | "finished" | "interrupted",
 "n_done", "seconds_left": number | null, "version": finished trials}
"""

from __future__ import annotations

import math
from typing import Any

from explorer.records import Progress
from explorer.views.rows import varying_parameters
from explorer.views.server.feed import Feed, FeedState
from explorer.views.wording import Glyphs, one_line, variant_text


def live_state(feed: Feed, state: FeedState) -> dict[str, Any]:
    """The live object of `state`, with the time that `feed` expects to be left."""
    left = feed.seconds_left()
    return {
        "progress": None if state.progress is None else _progress(state.progress, state.stage_seconds_left),
        "running": _running(state),
        "confirming": None if state.confirming is None else _progress(state.confirming, None),
        "status": state.status,
        "n_done": state.version,
        "seconds_left": None if left is None else round(left, 1),
        "version": state.version,
    }


def _progress(progress: Progress, seconds_left: float | None) -> dict[str, Any]:
    return {
        "stage": one_line(progress.stage),
        "done": _finite(progress.done) or 0.0,
        "total": _finite(progress.total),
        "note": one_line(progress.note),
        "seconds_left": None if seconds_left is None else round(seconds_left, 1),
    }


def _running(state: FeedState) -> dict[str, Any] | None:
    if state.running is None:
        return None
    number, variant = state.running
    text = variant_text(variant, varying_parameters(state.result.space), Glyphs())
    return {"trial": number, "variant": text}


def _finite(number: float | None) -> float | None:
    """The number, None for what JSON cannot say."""
    return None if number is None or not math.isfinite(number) else number
