"""Routes of the model server: the Open Inference Protocol v2, the answer to a file, a page, and metrics."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any, Final, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from explorer.deploy.serve import inference
from explorer.deploy.serve.counters import CLIENT_GONE, MEDIA_TYPE, Metrics, RequestCounter, ServerState
from explorer.deploy.serve.model import VERSION, Model
from explorer.deploy.serve.requests import Bodies, ClientGone, Limits, Refused, json_text, uploaded_file
from explorer.deploy.serve.workers import Outcome, Work, Workers
from explorer.runtimes.staged import Array
from explorer.version import __version__
from explorer.web.responses import HostGuard, StaticFile, json_response, static_files

ON_GONE: Final = "on_gone"
"""Key in a request's state of a callback for when its client hangs up: cheaper than a task that waits for that."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WRONG_HOST = (
    "this server answers to the addresses of the machine that it runs on, with its own port: if the port is forwarded, "
    "forward it under the same number"
)
_WRONG_ORIGIN = "this server answers to its own page and to programs, not to other sites"


@dataclass(frozen=True, slots=True)
class Parts:
    """The model and the server state that the routes use. `on_fault` is called with a sentence about each fault."""

    model: Model
    workers: Workers
    metrics: Metrics
    state: ServerState
    on_fault: Callable[[str], None]


def make_app(parts: Parts, hosts: frozenset[str]) -> ASGIApp:
    """Return the application; `hosts` are the accepted values of the Host header.

    Origin is checked as well: pages of other sites may not use the model through a visitor's browser.
    """
    routes = _Routes(parts)
    app = Starlette(
        routes=[
            Route("/v2", routes.server),
            Route("/v2/health/live", routes.live),
            Route("/v2/health/ready", routes.ready),
            *routes.of_model("/v2/models/{name}"),
            *routes.of_model("/v2/models/{name}/versions/{version}"),
            Route(f"/{parts.model.task.verb[0]}", routes.file, methods=["POST"]),
            Route("/metrics", routes.metrics),
            Route("/", routes.page),
            Route("/page/{file}", routes.page),
        ],
        exception_handlers={
            Refused: _refused,
            ClientGone: _gone,
            HTTPException: routes.not_there,
            Exception: routes.fault,
        },
    )
    app.router.redirect_slashes = False
    refusals = [json_response({"error": sentence}, 403) for sentence in (_WRONG_HOST, _WRONG_ORIGIN)]
    return RequestCounter(HostGuard(app, hosts, _POLICY, *refusals), parts.metrics, parts.state)


@final
class _Routes:
    """One handler per route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._model = parts.model
        self._limits = Limits.of_input(parts.model.input)
        self._bodies = Bodies(parts.metrics)
        self._files = _page_files(parts.model)

    def of_model(self, path: str) -> list[Route]:
        """Return the routes of the model at `path`."""
        return [
            Route(path, self.metadata),
            Route(f"{path}/ready", self.model_ready),
            Route(f"{path}/infer", self.infer, methods=["POST"]),
        ]

    async def server(self, request: Request) -> Response:
        return json_response({"name": "explore", "version": __version__, "extensions": inference.EXTENSIONS})

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        self._check_state()
        return json_response({"live": True, "ready": True})

    async def model_ready(self, request: Request) -> Response:
        self._check_model(request)
        self._check_state()
        return json_response({"name": self._model.name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        self._check_model(request)
        return json_response(inference.metadata(self._model))

    async def infer(self, request: Request) -> Response:
        """Run the model on a tensor."""
        self._check_model(request)
        async with self._bodies.read(request, self._limits.tensor_body_bytes) as body:
            header_length = request.headers.get(inference.HEADER_LENGTH)
            inference_request = inference.read_request(body, header_length, self._model, self._limits)
            work = self._parts.workers.submit(len(inference_request.inputs), lambda: inference_request.inputs)
            outcome = await self._outcome(request, work)
        content, headers = inference.answer(inference_request, outcome, self._model)
        return Response(content, headers=headers)

    async def file(self, request: Request) -> Response:
        """Run the model on a file."""
        async with self._bodies.read(request, self._limits.file_bytes) as body:
            content = await uploaded_file(body, request.headers, self._model.task.noun[0])
            work = self._parts.workers.submit(1, lambda: input_of(content, self._model))
            outcome = await self._outcome(request, work)
        return json_response(answer_to_file(outcome, self._model))

    async def metrics(self, request: Request) -> Response:
        return Response(self._parts.metrics.text(), media_type=MEDIA_TYPE)

    async def page(self, request: Request) -> Response:
        """Return the page, or a file of it."""
        file = self._files.get(request.path_params.get("file", ""))
        if file is None:
            raise HTTPException(404)
        return file.response()

    async def fault(self, request: Request, error: Exception) -> Response:
        """Report an unexpected error, and return status 500."""
        self._parts.on_fault(f"{request.url.path} could not be answered: {type(error).__name__}: {error}")
        return json_response({"error": "the server could not answer this; its standard error says why"}, 500)

    async def not_there(self, request: Request, error: Exception) -> Response:
        """Say what is there instead, with status 404 or 405."""
        assert isinstance(error, HTTPException)
        path, task = json_text(request.url.path), self._model.task
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            sentence = f"{path} takes no {request.method}: expected {allowed}"
        else:
            places = f"the file of one {task.noun[0]} goes to /{task.verb[0]} by POST, and / is a page"
            sentence = f"there is nothing at {path}: the protocol is at /v2, {places}"
        return json_response({"error": sentence}, error.status_code, error.headers)

    async def _outcome(self, request: Request, work: Work) -> Outcome:
        """Wait for the result of the work. Raises Refused, and ClientGone when the client hangs up before."""
        request.scope["state"][ON_GONE] = lambda: self._parts.workers.drop(work)
        try:
            return await work.future
        except asyncio.CancelledError as error:
            if not work.future.cancelled():
                raise
            raise ClientGone from error

    def _check_model(self, request: Request) -> None:
        name, version = request.path_params["name"], request.path_params.get("version", VERSION)
        if name != self._model.name:
            raise Refused(404, f"there is no model {json_text(name)} here: this server has {self._model.name}")
        if version != VERSION:
            raise Refused(404, f"{self._model.name} has no version {json_text(version)}: expected {VERSION}")

    def _check_state(self) -> None:
        if self._parts.state.is_closing:
            raise Refused(503, "the server is stopping")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return json_response({"error": error.sentence}, error.status, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


def input_of(content: bytes, model: Model) -> Array:
    """Return the input of shape [1, ...] in a file. Raises Refused: 413 if it is too large, 415 for another kind."""
    files = model.task.files
    try:
        made: Array = files.read_upload(content, model.input.shape)[None]
    except files.UnreadableFile as error:
        raise Refused(413 if error.is_too_large else 415, str(error)) from error
    return made


def answer_to_file(outcome: Outcome, model: Model) -> dict[str, Any]:
    """Return the JSON-ready response about one input: what the task says, the exit (0: the first), and times in ms."""
    return {
        "model_name": model.name,
        **model.task.details(outcome.outputs[0], model.facts),
        "exit": int(outcome.stages[0]),
        "n_exits": model.n_exits,
        **{name: round(getattr(outcome, name), 3) for name in ("inference_ms", "decode_ms", "queue_ms")},
    }


def _page_files(model: Model) -> dict[str, StaticFile]:
    """Return the page, under the name "", and the files that it loads."""
    folder = files("explorer.deploy.serve").joinpath("page")
    text = Template(folder.joinpath("index.html").read_text(encoding="utf-8"))
    task = model.task
    words = {"noun": task.noun[0], "nouns": task.noun[1], "verb": task.verb[0], "types": task.file_types}
    words |= {"name": model.name, "summary": model.summary, "labels": task.output_noun[1].capitalize()}
    page = text.substitute({name: html.escape(word) for name, word in words.items()})
    return {"": StaticFile(page.encode("utf-8"), "text/html; charset=utf-8"), **static_files(folder)}
