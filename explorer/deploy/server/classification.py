"""Classification of one image file, for people: the likeliest classes, the exit that was taken, the time it took."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import numpy as np
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from explorer.deploy.server.model import Model
from explorer.deploy.server.refusals import Refused
from explorer.deploy.server.workers import Outcome

_N_CLASSES = 5
_MAX_FIELDS = 16


async def picture_of(body: bytes, headers: Headers) -> bytes:
    """The image file in a body: the body itself, or the file of a multipart form. Raises Refused."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        body = await _file_of_form(body, headers)
    if not body:
        raise Refused(400, "no image came: send a file as the body, or in a field of a multipart form")
    return body


def verdict(outcome: Outcome, model: Model) -> dict[str, Any]:
    """The answer about one image, ready for JSON; the likeliest class first; exit 0 is the first."""
    logits = outcome.logits[0].astype(np.float64)
    weights = np.exp(logits - logits.max())
    probabilities = weights / weights.sum()
    best = np.argsort(-probabilities, kind="stable")[:_N_CLASSES]
    return {
        "model_name": model.name,
        "classes": [{"name": model.classes[index], "probability": float(probabilities[index])} for index in best],
        "exit": int(outcome.exits[0]),
        "n_exits": model.n_exits,
        "inference_ms": round(outcome.inference_ms, 3),
        "decode_ms": round(outcome.decode_ms, 3),
        "queue_ms": round(outcome.queue_ms, 3),
    }


async def _file_of_form(body: bytes, headers: Headers) -> bytes:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(headers, stream(), max_files=1, max_fields=_MAX_FIELDS).parse()
    except MultiPartException as error:
        raise Refused(400, f"the multipart form does not read: {error.message}") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise Refused(400, f"expected one file in the multipart form, got {len(files) or 'none'}")
        return await files[0].read()
    finally:
        await form.close()
