"""The server's thread: a port, uvicorn behind it, and an end that answers what was accepted."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import cast, final

import uvicorn

from explorer.addresses import LOOPBACK_HOST, address_to_open, allowed_hosts, listening
from explorer.deploy.server.app import Parts, make_app
from explorer.deploy.server.connections import KEEP_ALIVE_S, Connection, connection, sweep
from explorer.deploy.server.guard import Stage
from explorer.deploy.server.metrics import Metrics
from explorer.deploy.server.model import Model
from explorer.deploy.server.options import Options
from explorer.deploy.server.workers import Workers
from explorer.errors import ExplorerError, UsageError

DEFAULT_PORT = 8000
GRACE_S = 20.0
_LINGER_S = 1.0
_WORKERS_S = 1.0
_LOOK_S = 0.02
_MAX_FAULTS = 100
_MAX_FAULT_CHARACTERS = 500


@final
class ModelServer:
    """A model behind a port, from the moment that it is made. `port` None: the default one, or the next that is free.

    `on_fault` hears, from other threads, one sentence for each kind of thing that went wrong. Raises NoPort; UsageError
    for micro-batches of a model whose logits depend on an image's neighbors.
    """

    def __init__(
        self,
        model: Model,
        options: Options,
        host: str = LOOPBACK_HOST,
        port: int | None = None,
        on_fault: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        if options.max_batch > 1 and not model.is_batch_invariant:
            raise UsageError(
                f"--max-batch {options.max_batch}: the logits of an image depend on its batch in {model.name}, "
                "so requests of different clients are not put together; leave --max-batch out"
            )
        self._socket = listening(host, port, DEFAULT_PORT)
        self.port: int = self._socket.getsockname()[1]
        self.address = address_to_open(host, self.port)
        self.metrics = Metrics(model)
        self._on_fault = _once(on_fault)
        self._stage = Stage()
        self._workers = Workers(model, options, self.metrics, self._on_fault)
        parts = Parts(model, self._workers, self.metrics, self._stage, self._on_fault)
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                make_app(parts, allowed_hosts(host, self.port)),
                loop="asyncio",
                http=cast("type[asyncio.Protocol]", connection),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )
        self._asked_to_stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._has_begun = threading.Event()
        self._grace_s = GRACE_S
        self._n_lost = 0
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)
        self._thread.start()
        self._has_begun.wait()

    @property
    def is_running(self) -> bool:
        """Whether it answers, or still may."""
        return self._thread.is_alive()

    def stop(self, grace_s: float = GRACE_S) -> None:
        """Take no more connections, answer what was accepted, and end. Safe to call twice.

        Raises ExplorerError when there are requests that are still not answered after `grace_s`.
        """
        self._grace_s = grace_s
        if self._loop is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._asked_to_stop.set)
        self._thread.join()
        self._workers.stop(_WORKERS_S)
        if self._n_lost:
            raise ExplorerError(f"requests that were not answered within {grace_s:g} s, and are lost: {self._n_lost}")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (Exception, SystemExit) as error:  # whatever it is, who waits for this thread must hear of it
            self._on_fault(f"the server has stopped: {type(error).__name__}: {error}")
        finally:
            self._socket.close()
            self._has_begun.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        sweeping = asyncio.create_task(sweep(self._connections()))
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[self._socket]))
        asked = asyncio.create_task(self._asked_to_stop.wait())
        self._has_begun.set()
        await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await self._drain()
            self._uvicorn.should_exit = True
        await serving
        await self._end_connections()
        for task in (sweeping, asked):
            task.cancel()

    async def _end_connections(self) -> None:
        """Let go of who came in while the server ended: the loop knows such a connection one turn later."""
        for _ in range(3):
            for one in list(self._connections()):
                one.transport.abort()
            await asyncio.sleep(0)

    async def _drain(self) -> None:
        """Answer what was accepted, within the grace time; each answer ends its connection.

        A client may have sent a request on an idle connection, or connected, just before: they are waited for.
        """
        now, connections = asyncio.get_running_loop().time, self._connections()
        until, linger_until = now() + self._grace_s, now() + min(_LINGER_S, self._grace_s)
        self._stage.is_closing = True
        await asyncio.sleep(0)  # whoever is in the backlog comes in
        for server in self._uvicorn.servers:
            server.close()
        while (self._stage.n_open or connections) and now() < (until if self._stage.n_open else linger_until):
            await asyncio.sleep(_LOOK_S)
        self._n_lost = self._stage.n_open
        if self._n_lost:
            for one in list(connections):
                one.transport.abort()
        # What is still in the buffers of the others is sent meanwhile.
        self._uvicorn.config.timeout_graceful_shutdown = math.ceil(max(1.0, until - now()))

    def _connections(self) -> set[Connection]:
        return cast("set[Connection]", self._uvicorn.server_state.connections)


def _once(on_fault: Callable[[str], None]) -> Callable[[str], None]:
    """Says each sentence once, in one line, and no more than a hundred: clients ask again and again."""
    said: set[str] = set()
    lock = threading.Lock()

    def say(sentence: str) -> None:
        line = " ".join(sentence.split())[:_MAX_FAULT_CHARACTERS]
        with lock:
            if line in said or len(said) >= _MAX_FAULTS:
                return
            said.add(line)
        on_fault(line)

    return say
