"""A probe that answers what the scripted builder foresaw. It imports no NumPy, so that a trial takes milliseconds."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import steps

from explorer.system.hashing import cache_root
from explorer.system.worker_loop import Answers, serve

_TIMING_S = 0.01


def handle(request: dict[str, Any], answers: Answers) -> None:
    """Answer one measurement: raw samples into a file, facts as the answer."""
    answers.phase("import")
    artifact = json.loads(Path(request["artifact"], "artifact.json").read_text(encoding="utf-8"))
    found = cache_root() / "scripted" / artifact["id"]
    answers.phase("timing")
    time.sleep(_TIMING_S)
    shutil.copyfile(f"{found}.npz", request["raw"])
    conditions = {
        "seconds": 1.0,
        "steal_ratio": 0.0,
        "others_ratio": 0.0,
        "n_working": 1,
        "cores": request["cores"],
        "suspended_s": 0.0,
    }
    facts = json.loads(found.with_suffix(".json").read_text(encoding="ascii"))
    answers.result({**facts, "conditions": conditions})


if __name__ == "__main__":
    steps.watch("probe")
    serve(handle, lambda request: [])
