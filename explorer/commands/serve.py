"""`explore serve`: a bundle over HTTP until Ctrl-C, which answers what it has accepted."""

from __future__ import annotations

import warnings
from pathlib import Path

from explorer.addresses import is_loopback
from explorer.commands.again import command_line
from explorer.commands.printing import note
from explorer.commands.serving import wait
from explorer.deploy.reading import Bundle, read_bundle
from explorer.deploy.server.model import Model
from explorer.deploy.server.options import Options
from explorer.deploy.server.serving import ModelServer
from explorer.errors import ExplorerError, Interrupted, UsageError, VerificationFailed
from explorer.measure import cores
from explorer.study.interrupt import Interrupt

_S_BETWEEN_LOOKS = 1.0


def serve(
    bundle: Path,
    host: str,
    port: int | None,
    allow_remote: bool,
    workers: int | None,
    queue: int,
    max_batch: int,
    max_delay_ms: float,
) -> None:
    """Serve until a signal. `workers` None: as many as the cores have room for, at the variant's threads each.

    Raises UsageError, NotAvailable for a port or a runtime that is not to be had, VerificationFailed for a bundle that
    is damaged, ExplorerError when requests were lost, Interrupted at a second signal.
    """
    if not is_loopback(host) and not allow_remote:
        raise UsageError(
            f"--host {host} opens the model to other machines: whoever reaches the port may use it, and nothing is "
            "encrypted. Add --allow-remote if that is meant; else leave --host out, and forward the port with ssh"
        )
    warnings.filterwarnings("ignore", module="PIL")  # of odd image files, which are answered, and not logged
    found = read_bundle(bundle)
    n_workers = max(1, len(cores.available()) // found.manifest.execution.threads) if workers is None else workers
    options = Options(n_workers, queue, max_batch, max_delay_ms)
    try:
        with Interrupt() as interrupt:
            server = ModelServer(_loaded(found), options, host, port, on_fault=note)
            try:
                note(_opening(found, server, host))
                while not wait(interrupt, _S_BETWEEN_LOOKS):
                    if not server.is_running:
                        raise ExplorerError("the server has stopped by itself")
            finally:
                try:
                    server.stop()
                finally:
                    note(f"stopped: {server.metrics.sentence()}")
    except Interrupted:  # a first signal ends the wait and raises nothing
        given = {"--host": host, "--port": port, "--allow-remote": allow_remote, "--workers": workers, "--queue": queue,
                 "--max-batch": max_batch, "--max-delay-ms": max_delay_ms}  # fmt: skip
        again = command_line("serve", bundle, options=given)
        raise Interrupted(
            f"stopped at once by a second signal; requests that were not answered are lost. To serve again: {again}"
        ) from None


def _loaded(bundle: Bundle) -> Model:
    """The bundle's model, warmed up. Raises RuntimeNotAvailable, VerificationFailed."""
    try:
        model = Model.of_bundle(bundle.manifest, bundle.executor().classify)
    except ExplorerError:
        raise
    except Exception as error:  # whatever the runtime raises for a model that it cannot load
        raise VerificationFailed(
            f"the model of {bundle.folder} cannot be loaded ({error}): `explore verify` says what is wrong with it"
        ) from error
    model.warm_up()
    return model


def _opening(bundle: Bundle, server: ModelServer, host: str) -> str:
    """Where it is, who gets in, and how it ends."""
    who = "" if is_loopback(host) else "open to other machines, without encryption; "
    return f"{bundle.manifest.name}: {server.address} ({who}Ctrl-C ends it)"
