"""`explore serve`: serve a bundle over HTTP until Ctrl-C, and answer the requests that were accepted by then."""

from __future__ import annotations

import warnings
from pathlib import Path

from explorer.commands.printing import note
from explorer.commands.repeat import repeat_command
from explorer.commands.serving import Address, wait
from explorer.deploy.serve.model import Model
from explorer.deploy.serve.server import ModelServer
from explorer.deploy.serve.workers import Options
from explorer.deploy.verify.bundle import Bundle, read_bundle
from explorer.errors import ExplorerError, Interrupted, VerificationFailed
from explorer.runtimes.int8_range import range_warning
from explorer.runtimes.runtime import runtime
from explorer.system import cores, environment
from explorer.system.signals import Interrupt

_S_BETWEEN_LOOKS = 1.0


def serve(
    bundle: Path,
    address: Address,
    workers: int | None,
    queue: int,
    max_batch: int,
    max_delay_ms: float,
) -> None:
    """Serve until a signal; `workers` defaults to the number of cores divided by the variant's threads.

    `queue` counts requests, `max_batch` examples. Raises UsageError, NotAvailable for a port that is taken or a runtime
    that is not installed, VerificationFailed for a damaged bundle, ExplorerError when requests were lost, Interrupted
    at a second signal.
    """
    address.require_allowed("the model", "whoever reaches the port may use it, and nothing is encrypted")
    warnings.filterwarnings("ignore", module="PIL")  # odd files get an answer and no log entry
    found = read_bundle(bundle)
    n_workers = max(1, len(cores.available()) // found.manifest.execution.threads) if workers is None else workers
    options = Options(n_workers, queue, max_batch, max_delay_ms)
    try:
        with Interrupt() as interrupt:
            server = ModelServer(_loaded(found), options, address.host, address.port, on_fault=note)
            try:
                who = "" if address.is_local else "open to other machines, without encryption; "
                note(f"{found.manifest.name}: {server.address} ({who}Ctrl-C ends it)")
                if (warning := _int8_warning(found)) is not None:
                    note(warning)
                while not wait(interrupt, _S_BETWEEN_LOOKS):
                    if not server.is_running:
                        raise ExplorerError("the server has stopped by itself")
            finally:
                try:
                    server.stop()
                finally:
                    note(f"stopped: {server.metrics.sentence()}")
    except Interrupted:  # a first signal ends the wait and raises nothing
        lost = "requests that were not answered are lost"
        raise Interrupted(f"stopped at once by a second signal; {lost}. To serve again: {repeat_command()}") from None


def _loaded(bundle: Bundle) -> Model:
    """Return the bundle's model, warmed up. Raise RuntimeNotAvailable, VerificationFailed."""
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


def _int8_warning(bundle: Bundle) -> str | None:
    """Return a warning if the range of its int8 weights does not suit this processor, else None."""
    execution = bundle.manifest.execution
    if not runtime(execution.runtime).saturates(execution.quantization):
        return None
    warning = range_warning(execution.int8_range, environment.processor()["instructions"])
    return None if warning is None else f"{bundle.manifest.name}: {warning}"
