"""Command line: parse, call one function, print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from explorer import __version__
from explorer.terminal import run_in_terminal

app = typer.Typer(
    name="explore",
    help="Explore which variant of a neural network to ship: accuracy against latency, memory and cost, measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

SpaceFile = Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="The search space.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, or the path of its folder.")]
Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where data are looked for (else EXPLORER_DATA, data/).")
]
Studies = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where studies are (else EXPLORER_STUDIES, studies/).")
]
Port = Annotated[
    int | None, typer.Option(metavar="P", min=0, max=65535, help="The dashboard's port (else 8321, or the next free).")
]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle.")]
Host = Annotated[
    str, typer.Option(metavar="H", help="The address to listen on; one that others reach needs --allow-remote.")
]
Where = Annotated[
    list[str] | None, typer.Option(metavar="LIMIT", help="A further limit, as 'latency_ms <= 1.5'; may be repeated.")
]
SkipUnavailable = Annotated[
    bool, typer.Option("--skip-unavailable", help="Leave out the runtimes that are not installed, and record it.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, everything else on standard error.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Nothing but errors, and whose code is run.")]


def _version(is_asked: bool) -> None:
    if is_asked:
        print(f"explore {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="The version, and nothing else.")
    ] = False,
) -> None:
    pass


@app.command()
def start(
    file: SpaceFile,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The study's name, instead of the file's.")] = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Trials in all, the baseline included.")] = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="20m", help="Begin no trial after this long (90, 90s, 15m, 2h).")
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(metavar="NAME", help="tpe, nsga2, nsga3, gp, random, qmc or grid.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed proposes the same variants.")] = None,
    data: Data = None,
    studies: Studies = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Optuna's storage, instead of the study's study.db.")
    ] = None,
    fork: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Start the new study NAME from this one's trials that still apply."),
    ] = None,
    port: Port = None,
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Serve no dashboard.")] = False,
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Do not measure the finalists again after the search.")
    ] = False,
    skip_unavailable: SkipUnavailable = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run the study that a search space describes, or go on with it, with a live dashboard; end with its front."""
    from explorer.commands.start import StartOptions
    from explorer.commands.start import start as run
    from explorer.space.duration import parse_duration
    from explorer.space.overrides import Overrides

    timeout_s = None if timeout is None else parse_duration(timeout)
    options = StartOptions(
        file,
        Overrides(name=name, n_trials=trials, timeout_s=timeout_s, sampler=sampler, seed=seed),
        data=data,
        studies=studies,
        storage=storage,
        fork=fork,
        port=port,
        has_dashboard=not no_dashboard,
        is_json=as_json,
        is_quiet=quiet,
        is_confirming=not no_confirm,
        is_skipping=skip_unavailable,
    )
    run(options)


@app.command()
def confirm(
    study: StudyName,
    rounds: Annotated[
        int | None,
        typer.Option(metavar="N", min=5, help="Exactly so many rounds (else 5 to 10, until the front is settled)."),
    ] = None,
    data: Data = None,
    studies: Studies = None,
    storage: Annotated[str | None, typer.Option(metavar="URL", help="Where the study is stored, if elsewhere.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION", help="Let the code of this network run; needed where the study has it."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure again what may belong to a study's front, in fresh processes, and state how probably each does."""
    from explorer.commands.confirm import confirm as run

    run(study, studies, rounds, data, storage, as_json, quiet, model)


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
    from explorer.space.template import write_template

    path = write_template(name, Path())
    print(f"{path}: edit it, then  explore check {path}  and  explore start {path}")


@app.command()
def front(
    study: StudyName,
    where: Where = None,
    studies: Studies = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on standard output.")] = False,
    search: Annotated[bool, typer.Option("--search", help="The search's values, even if they were confirmed.")] = False,
    allow_invalid: Annotated[
        bool, typer.Option("--allow-invalid", help="Take in trials with invalid measurements; implies --search.")
    ] = False,
) -> None:
    """Show the front of a study as a table: confirmed values where there are any."""
    from explorer.commands.read import front as run

    run(study, studies, where or [], as_json, as_csv, allow_invalid, search)


@app.command()
def show(
    study: StudyName,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The trial's number.")],
    studies: Studies = None,
    as_json: Json = False,
) -> None:
    """Show one trial whole: variant, every metric with its interval, provenance."""
    from explorer.commands.read import show as run

    run(study, trial, studies, as_json)


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

    run(study, studies, port, host, allow_remote)


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

    run(study, studies, output)


@app.command()
def export(
    study: StudyName,
    trial: Annotated[int | None, typer.Option(metavar="N", help="This trial.")] = None,
    knee: Annotated[bool, typer.Option("--knee", help="The knee of the front.")] = False,
    best: Annotated[str | None, typer.Option(metavar="METRIC", help="The front's best in this metric.")] = None,
    where: Where = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="A new folder (else STUDY-trial-N).")
    ] = None,
    form: Annotated[str, typer.Option("--format", metavar="F", help="bundle, onnx, triton or mlflow.")] = "bundle",
    data: Data = None,
    studies: Studies = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export; take a trial that is infeasible or dominated.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export a trial for deployment: the very files that were measured, with what runs and proves them."""
    from explorer.commands.export import export as run

    run(study, studies, trial, knee, best, where or [], output, form, data, force, as_json)


@app.command()
def verify(
    bundle: Bundle,
    data: Data = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out accuracy, latency and memory.")] = False,
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


@app.command()
def serve(
    bundle: Bundle,
    port: Annotated[
        int | None, typer.Option(metavar="P", min=0, max=65535, help="The port (else 8000, or the next free).")
    ] = None,
    host: Host = "127.0.0.1",
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Let other machines in, without encryption.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Requests classified at once (else cores / threads).")
    ] = None,
    queue: Annotated[int, typer.Option(metavar="N", min=1, help="Requests that may wait; more are sent away.")] = 64,
    max_batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Images of several requests classified together.")
    ] = 1,
    max_delay_ms: Annotated[
        float, typer.Option(metavar="MS", min=0, help="How long a request waits for others to join it.")
    ] = 0.0,
) -> None:
    """Serve a bundle over HTTP (Open Inference Protocol v2, and a page to drop an image on), until Ctrl-C."""
    from explorer.commands.serve import serve as run

    run(bundle, host, port, allow_remote, workers, queue, max_batch, max_delay_ms)


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
    """Show this machine: processor, memory, runtimes, noise floor."""
    from explorer.commands.device import device as run

    run(as_json)


def main() -> None:
    """Run the command that the arguments name, and exit."""
    sys.exit(run_in_terminal(app))
