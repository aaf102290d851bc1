"""The server's routes: the Open Inference Protocol v2, an image file's classes, the page, and metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from explorer import __version__
from explorer.deploy.server import inference
from explorer.deploy.server.bodies import Bodies
from explorer.deploy.server.classification import picture_of, verdict
from explorer.deploy.server.connections import ON_GONE
from explorer.deploy.server.guard import Guard, Stage
from explorer.deploy.server.metrics import CLIENT_GONE, MEDIA_TYPE, Metrics
from explorer.deploy.server.model import VERSION, Model
from explorer.deploy.server.options import Limits
from explorer.deploy.server.pages import page_files
from explorer.deploy.server.pictures import picture
from explorer.deploy.server.refusals import ClientGone, Refused, shown
from explorer.deploy.server.tensors import IMAGES
from explorer.deploy.server.workers import Outcome, Work, Workers

_PLACES = "the protocol is at /v2, an image file goes to /classify by POST, and / is a page"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes answer with."""

    model: Model
    workers: Workers
    metrics: Metrics
    stage: Stage
    on_fault: Callable[[str], None]


def make_app(parts: Parts, hosts: frozenset[str]) -> Guard:
    """The application behind its guard; `hosts` are what the Host header may say."""
    routes = _Routes(parts)
    app = Starlette(
        routes=[
            Route("/v2", routes.server),
            Route("/v2/health/live", routes.live),
            Route("/v2/health/ready", routes.ready),
            *routes.of_model("/v2/models/{name}"),
            *routes.of_model("/v2/models/{name}/versions/{version}"),
            Route("/classify", routes.classify, methods=["POST"]),
            Route("/metrics", routes.metrics),
            Route("/", routes.page),
            Route("/page/{file}", routes.page),
        ],
        exception_handlers={
            Refused: _refused,
            ClientGone: _gone,
            HTTPException: _not_there,
            Exception: routes.fault,
        },
    )
    app.router.redirect_slashes = False
    return Guard(app, hosts, parts.metrics, parts.stage)


@final
class _Routes:
    """What each route answers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._model = parts.model
        self._limits = Limits.of_input(parts.model.shape)
        self._bodies = Bodies(parts.metrics)
        self._files = page_files(parts.model)

    def of_model(self, path: str) -> list[Route]:
        """The routes of a model at `path`."""
        return [
            Route(path, self.metadata),
            Route(f"{path}/ready", self.model_ready),
            Route(f"{path}/infer", self.infer, methods=["POST"]),
        ]

    async def server(self, request: Request) -> Response:
        """What this server is."""
        return _json({"name": "explore", "version": __version__, "extensions": inference.EXTENSIONS})

    async def live(self, request: Request) -> Response:
        """Whether it answers at all."""
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        """Whether it takes requests."""
        self._check_stage()
        return _json({"live": True, "ready": True})

    async def model_ready(self, request: Request) -> Response:
        """Whether the model takes requests."""
        self._check_model(request)
        self._check_stage()
        return _json({"name": self._model.name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """The model's inputs and outputs."""
        self._check_model(request)
        model = self._model
        datatypes = ("FP32", "INT64", "BYTES")
        shapes = ([-1, len(model.classes)], [-1], [-1])
        names = inference.output_names(model)
        return _json(
            {
                "name": model.name,
                "versions": [VERSION],
                "platform": model.platform,
                "inputs": [{"name": model.input_name, "datatype": IMAGES, "shape": [-1, *model.shape]}],
                "outputs": [
                    {"name": name, "datatype": datatype, "shape": shape}
                    for name, datatype, shape in zip(names, datatypes, shapes, strict=True)
                ],
            }
        )

    async def infer(self, request: Request) -> Response:
        """Classify a tensor of images."""
        self._check_model(request)
        async with self._bodies.read(request, self._limits.tensor_body_bytes) as body:
            header_length = request.headers.get(inference.HEADER_LENGTH)
            asked = inference.read_request(body, header_length, self._model, self._limits)
            work = self._parts.workers.submit(len(asked.images), lambda: asked.images)
            outcome = await self._outcome(request, work)
        content, headers = inference.answer(asked, outcome, self._model)
        return Response(content, headers=headers)

    async def classify(self, request: Request) -> Response:
        """Classify an image file."""
        async with self._bodies.read(request, self._limits.picture_bytes) as body:
            content = await picture_of(body, request.headers)
            work = self._parts.workers.submit(1, lambda: picture(content, self._model.shape))
            outcome = await self._outcome(request, work)
        return _json(verdict(outcome, self._model))

    async def metrics(self, request: Request) -> Response:
        """Everything that is counted, as Prometheus reads it."""
        return Response(self._parts.metrics.text(), media_type=MEDIA_TYPE)

    async def page(self, request: Request) -> Response:
        """The page, or a file of it."""
        file = self._files.get(request.path_params.get("file", ""))
        if file is None:
            raise HTTPException(404)
        return Response(file.content, media_type=file.media_type)

    async def fault(self, request: Request, error: Exception) -> Response:
        """Something that nobody foresaw."""
        self._parts.on_fault(f"{request.url.path} could not be answered: {type(error).__name__}: {error}")
        return _json({"error": "the server could not answer this; its standard error says why"}, 500)

    async def _outcome(self, request: Request, work: Work) -> Outcome:
        """What comes of the work. Raises Refused, and ClientGone when the client hangs up before."""
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
            raise Refused(404, f"there is no model {shown(name)} here: this server has {self._model.name}")
        if version != VERSION:
            raise Refused(404, f"{self._model.name} has no version {shown(version)}: expected {VERSION}")

    def _check_stage(self) -> None:
        if self._parts.stage.is_closing:
            raise Refused(503, "the server is stopping")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json({"error": error.sentence}, error.status, error.headers)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = shown(request.url.path)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        sentence = f"{path} takes no {request.method}: expected {allowed}"
    else:
        sentence = f"there is nothing at {path}: {_PLACES}"
    return _json({"error": sentence}, error.status_code, error.headers)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    content = json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(content, status, headers, media_type="application/json")
