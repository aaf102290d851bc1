"""The options of the commands that have many: a dataclass each, whose fields the command line reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from explorer.deploy.selection import Selection
    from explorer.space.read import Overrides

SpaceFile = Annotated[Path, typer.Argument(metavar="SPACE.yaml", help="The search space.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study's name, or the path of its folder.")]
Bundle = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle.")]
Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where data are looked for (else EXPLORER_DATA, data/).")
]
Studies = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where studies are (else EXPLORER_STUDIES, studies/).")
]
Port = Annotated[
    int | None, typer.Option(metavar="P", min=0, max=65535, help="The dashboard's port (else 8321, or the next free).")
]
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


class OfStudy:
    """Options that name a study."""

    study: str
    studies: Path | None

    @property
    def folder(self) -> Path:
        """The study's folder. Raises UsageError where there is no such study."""
        from explorer.study.store.location import study_folder

        return study_folder(self.study, self.studies)


@dataclass(frozen=True)
class StartOptions:
    """The options of `explore start`."""

    file: SpaceFile
    name: Annotated[str | None, typer.Option(metavar="NAME", help="The study's name, instead of the file's.")] = None
    trials: Annotated[int | None, typer.Option(metavar="N", help="Trials in all, the baseline included.")] = None
    timeout: Annotated[
        str | None, typer.Option(metavar="20m", help="Begin no trial after this long (90, 90s, 15m, 2h).")
    ] = None
    sampler: Annotated[str | None, typer.Option(metavar="NAME", help="tpe, nsga2, nsga3, gp, random, qmc or grid.")] = (
        None
    )
    seed: Annotated[int | None, typer.Option(metavar="N", help="The same seed proposes the same variants.")] = None
    data: Data = None
    studies: Studies = None
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Optuna's storage, instead of the study's study.db.")
    ] = None
    fork: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Start the new study NAME from this one's trials that still apply."),
    ] = None
    port: Port = None
    no_dashboard: Annotated[bool, typer.Option("--no-dashboard", help="Serve no dashboard.")] = False
    no_confirm: Annotated[
        bool, typer.Option("--no-confirm", help="Do not measure the finalists again after the search.")
    ] = False
    skip_unavailable: SkipUnavailable = False
    fallback: Annotated[
        Path | None,
        typer.Option(
            metavar="OTHER.yaml", help="Start this instead where the data are missing and cannot be downloaded."
        ),
    ] = None
    as_json: Json = False
    quiet: Quiet = False

    @property
    def overrides(self) -> Overrides:
        """What replaces values of the search space. Raises UsageError for a timeout that does not read."""
        from explorer.space.expressions import parse_duration
        from explorer.space.read import Overrides

        timeout_s = None if self.timeout is None else parse_duration(self.timeout)
        return Overrides(self.name, self.trials, timeout_s, self.sampler, self.seed)

    @property
    def is_served(self) -> bool:
        """Whether a dashboard is served: with --quiet, which prints no link, only at a port that was given."""
        return not self.no_dashboard and (not self.quiet or self.port is not None)


@dataclass(frozen=True)
class ConfirmOptions(OfStudy):
    """The options of `explore confirm`."""

    study: StudyName
    rounds: Annotated[
        int | None,
        typer.Option(metavar="N", min=5, help="Exactly so many rounds (else 5 to 10, until the front is settled)."),
    ] = None
    data: Data = None
    studies: Studies = None
    storage: Annotated[str | None, typer.Option(metavar="URL", help="Where the study is stored, if elsewhere.")] = None
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION", help="Let the code of this network run; needed where the study has it."
        ),
    ] = None
    as_json: Json = False
    quiet: Quiet = False


@dataclass(frozen=True)
class FrontOptions(OfStudy):
    """The options of `explore front`."""

    study: StudyName
    where: Where = None
    studies: Studies = None
    as_json: Json = False
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV on standard output.")] = False
    search: Annotated[bool, typer.Option("--search", help="The search's values, even if they were confirmed.")] = False
    allow_invalid: Annotated[
        bool, typer.Option("--allow-invalid", help="Take in trials with invalid measurements; implies --search.")
    ] = False


@dataclass(frozen=True)
class ExportOptions(OfStudy):
    """The options of `explore export`."""

    study: StudyName
    trial: Annotated[int | None, typer.Option(metavar="N", help="This trial.")] = None
    knee: Annotated[bool, typer.Option("--knee", help="The knee of the front.")] = False
    best: Annotated[str | None, typer.Option(metavar="METRIC", help="The front's best in this metric.")] = None
    where: Where = None
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="A new folder (else STUDY-trial-N).")
    ] = None
    form: Annotated[str, typer.Option("--format", metavar="F", help="bundle, onnx, triton or mlflow.")] = "bundle"
    data: Data = None
    studies: Studies = None
    force: Annotated[
        bool, typer.Option("--force", help="Replace an earlier export; take a trial that is infeasible or dominated.")
    ] = False
    as_json: Json = False

    @property
    def selection(self) -> Selection:
        """The requested trial. Raises UsageError for none, for more than one, and for a limit that does not read."""
        from explorer.deploy.selection import Selection
        from explorer.space.expressions import parse_constraint

        return Selection(self.trial, self.knee, self.best, tuple(parse_constraint(text) for text in self.where or []))


@dataclass(frozen=True)
class ServeOptions:
    """The options of `explore serve`."""

    bundle: Bundle
    port: Annotated[
        int | None, typer.Option(metavar="P", min=0, max=65535, help="The port (else 8000, or the next free).")
    ] = None
    host: Host = "127.0.0.1"
    allow_remote: Annotated[bool, typer.Option("--allow-remote", help="Let other machines in, without encryption.")] = (
        False
    )
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Requests classified at once (else cores / threads).")
    ] = None
    queue: Annotated[int, typer.Option(metavar="N", min=1, help="Requests that may wait; more are sent away.")] = 64
    max_batch: Annotated[
        int, typer.Option(metavar="N", min=1, help="Images of several requests classified together.")
    ] = 1
    max_delay_ms: Annotated[
        float, typer.Option(metavar="MS", min=0, help="How long a request waits for others to join it.")
    ] = 0.0
