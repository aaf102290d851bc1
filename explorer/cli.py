"""The command line: parse the arguments and call the function of one command."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from explorer.commands.options import (
    Bundle,
    ConfirmOptions,
    Data,
    ExportOptions,
    FrontOptions,
    Host,
    Json,
    Port,
    Quiet,
    ServeOptions,
    SkipUnavailable,
    SpaceFile,
    StartOptions,
    Studies,
    StudyName,
)
from explorer.system.terminal import run_in_terminal
from explorer.version import __version__

app = typer.Typer(
    name="explore",
    help="Explore which variant of a neural network to ship: accuracy against latency, memory and cost, measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

Options = TypeVar("Options")


def command(options: type[Options]) -> Callable[[Callable[[Options], None]], None]:
    """Make a function of `options`, a dataclass, a command with an argument or an option for each of its fields."""

    def register(function: Callable[[Options], None]) -> None:
        def run(**values: Any) -> None:
            function(options(**values))

        hints = get_type_hints(options, include_extras=True)
        parameters = [
            one.replace(annotation=hints[name]) for name, one in inspect.signature(options).parameters.items()
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = hints
        app.command(function.__name__, help=function.__doc__)(run)

    return register


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"explore {__version__}")
        raise typer.Exit


def _folder(study: str, studies: Path | None) -> Path:
    from explorer.study.store.location import study_folder

    return study_folder(study, studies)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version, and nothing else.")
    ] = False,
) -> None:
    pass


@command(StartOptions)
def start(options: StartOptions) -> None:
    """Run the study that a search space describes, or go on with it, with a live dashboard; end with its front."""
    from explorer.commands.start import start

    start(options)


@command(ConfirmOptions)
def confirm(options: ConfirmOptions) -> None:
    """Measure again what may belong to a study's front, in fresh processes, and state how probably each does."""
    from explorer.commands.start import confirm

    confirm(options)


@app.command()
def check(file: SpaceFile, data: Data = None, skip_unavailable: SkipUnavailable = False, as_json: Json = False) -> None:
    """Validate a search space, and say what would run: its size, limits, data, runtimes, time."""
    from explorer.commands.check import check as run

    run(file, data, as_json, skip_unavailable)


@app.command()
def init(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The study's name; NAME.yaml is written.")],
) -> None:
    """Write a commented search space to start from, in the current folder."""
    from explorer.commands.init import write_template

    path = write_template(name, Path())
    print(f"{path}: edit it, then  explore check {path}  and  explore start {path}")


@command(FrontOptions)
def front(options: FrontOptions) -> None:
    """Show the front of a study as a table: confirmed values where there are any."""
    from explorer.commands.read import front

    front(options)


@app.command()
def show(
    study: StudyName,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.")],
    studies: Studies = None,
    as_json: Json = False,
) -> None:
    """Show one trial whole: variant, every metric with its interval, provenance."""
    from explorer.commands.read import show as run

    run(_folder(study, studies), trial, as_json)


@app.command()
def dashboard(
    study: StudyName,
    port: Port = None,
    host: Host = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in, with the link and without encryption.")
    ] = False,
    studies: Studies = None,
) -> None:
    """Serve the dashboard of a study that is running or finished, until Ctrl-C."""
    from explorer.commands.dashboard import dashboard as run
    from explorer.commands.dashboard import require_allowed
    from explorer.commands.serving import Address

    address = Address(host, port, allow_remote)
    require_allowed(address)  # before a study is looked for
    run(_folder(study, studies), address)


@app.command()
def report(
    study: StudyName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Instead of the study's report.html.")
    ] = None,
    studies: Studies = None,
) -> None:
    """Write a study's report: one self-contained HTML file."""
    from explorer.commands.read import report as run

    run(_folder(study, studies), output)


@command(ExportOptions)
def export(options: ExportOptions) -> None:
    """Export a trial for deployment: the very files that were measured, with what runs and proves them."""
    from explorer.commands.export import export

    export(options)


@app.command()
def verify(
    bundle: Bundle,
    data: Data = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out accuracy, labels, latency and memory.")] = False,
    signature: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its maker's signature of manifest.json, by ssh-keygen.")
    ] = None,
    signers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Who may have signed it: OpenSSH's file of allowed signers.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Prove a bundle: its files, outputs, accuracy, latency and memory, promised against found."""
    from explorer.commands.verify import verify as run

    run(bundle, data, as_json, quick, signature, signers)


@command(ServeOptions)
def serve(options: ServeOptions) -> None:
    """Serve a bundle over HTTP (Open Inference Protocol v2, and a page to drop an image on), until Ctrl-C."""
    from explorer.commands.serve import serve
    from explorer.commands.serving import Address

    address = Address(options.host, options.port, options.allow_remote)
    serve(options.bundle, address, options.workers, options.queue, options.max_batch, options.max_delay_ms)


@app.command()
def train(
    file: SpaceFile,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Instead of the search space's: default, long, shipped or quick.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train the base network of a search space; starting again resumes."""
    from explorer.commands.train import train as run

    run(file, recipe, data, as_json, quiet)


@app.command()
def device(as_json: Json = False) -> None:
    """Show this machine: processor, memory, runtimes, how quiet its core is."""
    from explorer.commands.device import device as run

    run(as_json)


def main() -> None:
    """Run the command that the arguments name, and exit."""
    sys.exit(run_in_terminal(app))
