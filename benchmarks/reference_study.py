"""The reference study: a finished study, made small enough to keep in the repository.

    python benchmarks/reference_study.py make FROM [--to studies/reference]     FROM: a study's folder
    python benchmarks/reference_study.py weigh [FOLDER]
    python benchmarks/reference_study.py picture [--to docs/front.png]          the README's, of studies/reference

Kept is what the commands that read a study need: the database, space.yaml, the confirmation, the trials' records, and
of each artifact the descriptions and samples of its trials' measurements: the time of every query that counts and the
class of every image, exact, in the smallest integers that hold them. Nothing can be run from it: the artifacts' own
files are left out. What would name a folder, the host or the user of this machine is refused, and so is a copy in which
anything that the page shows differs.
"""

from __future__ import annotations

import argparse
import getpass
import json
import re
import shutil
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from explorer.study.confirm.confirmation import NAME as CONFIRMATION_NAME
from explorer.study.front import front_view
from explorer.study.read import load_result
from explorer.study.result import StudyResult
from explorer.study.session import SPACE_NAME
from explorer.study.store.database import connect_to_copy
from explorer.study.store.location import DATABASE_NAME, STORAGE_NAME, is_study
from explorer.study.store.lock import held_since
from explorer.study.store.samples import Samples, trial_samples
from explorer.views.outputs import write_report

REFERENCE = Path(__file__).parents[1] / "studies" / "reference"
MAX_KIB = 2048
SAMPLES = ("latency_ns", "latency_counts", "score_")  # the beginnings of the arrays' names
PARTS = {
    "database": DATABASE_NAME,
    "search space": SPACE_NAME,
    "confirmation": CONFIRMATION_NAME,
    "records of the trials": "trials/*.json",
    "descriptions of measurements": "artifacts/*/measurements/*.json",
    "samples of measurements": "artifacts/*/measurements/*.npz",
}
# Where people and programs keep what is theirs; what every Linux has, such as /sys, names no machine.
_OWN_FOLDERS = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|var|work|opt|mnt|media|srv|data|workspace|usr)/[^\s\"']*")

_BITS = re.compile(r'"text": *"[^"]*"')


def make(source: Path, target: Path) -> None:
    """Make `target` from the study in `source`, in place of an older one. Ends the program with a sentence if it may
    not be kept.
    """
    if not (source / DATABASE_NAME).is_file() or (source / STORAGE_NAME).exists():
        raise SystemExit(f"{source} is no folder of a study that has its own {DATABASE_NAME}")
    if held_since(source) is not None:
        raise SystemExit(f"the study in {source} is running: wait until it has finished")
    if target.exists() and not is_study(target):
        raise SystemExit(f"{target} is in the way, and it is no study")
    result = load_result(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as place:
        draft = Path(place) / target.name
        draft.mkdir()
        _copy(source, draft, result)
        _check(draft, source, result)
        if target.exists():
            shutil.rmtree(target)
        draft.rename(target)
    weigh(target)


def weigh(folder: Path) -> None:
    """Print how much each part weighs."""
    for name, pattern in PARTS.items():
        files = list(folder.glob(pattern))
        print(f"{name:<30} {len(files):>4} files {_kib(files):>8.1f} KiB")
    files = _files(folder)
    print(f"{folder.name:<30} {len(files):>4} files {_kib(files):>8.1f} KiB   (at most {MAX_KIB:,} KiB)")


def picture(folder: Path, target: Path) -> None:
    """The upper part of the study's page, as Chromium shows it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        report = Path(place, "report.html")
        write_report(front_view(load_result(folder)), report)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport={"width": 1280, "height": 1000}, device_scale_factor=1.5, offline=True)
        page = context.new_page()
        page.goto(report.as_uri())
        page.wait_for_selector("#plot-front .scatterlayer path.point", state="attached")
        below = page.locator(".hero").evaluate("hero => hero.getBoundingClientRect().bottom + scrollY")
        page.screenshot(path=target, clip={"x": 0, "y": 0, "width": 1280, "height": below + 12})
        browser.close()
    print(f"{target}: {_kib([target]):.0f} KiB")


def private_traces(folder: Path) -> list[str]:
    """What names a folder, the host or the user of this machine, as `file: text`; nothing in a folder that may be kept.

    Words that the study has anyway, its classes, are nobody's name.
    """
    classes = {str(name).lower() for name in load_result(folder).task_facts.get("classes", ())}
    names = {socket.gethostname().lower(), getpass.getuser().lower()} - {"", "localhost"} - classes
    words = re.compile(rf"(?<![\w.-])(?:{'|'.join(map(re.escape, sorted(names)))})(?![\w.-])", re.IGNORECASE)
    home = re.compile(rf"{re.escape(str(Path.home()))}(?![\w.-])")
    found = []
    for file in _files(folder):
        for text in _texts(file):
            hits = [hit.group() for pattern in (_OWN_FOLDERS, words, home) for hit in pattern.finditer(text)]
            found += [f"{file.relative_to(folder)}: {hit}" for hit in hits]
    return sorted(set(found))


def _copy(source: Path, target: Path, result: StudyResult) -> None:
    with (
        closing(connect_to_copy(source / DATABASE_NAME)) as private,
        closing(sqlite3.connect(target / DATABASE_NAME)) as connection,
    ):
        private.backup(connection)
        # A trial's record spills over: into pages of the usual 4 KiB, of which the last is half empty.
        connection.execute("PRAGMA page_size=512")
        connection.execute("VACUUM")
    shutil.copyfile(source / SPACE_NAME, target / SPACE_NAME)
    if (source / CONFIRMATION_NAME).is_file():
        _copy_json(source / CONFIRMATION_NAME, target / CONFIRMATION_NAME)
    (target / "trials").mkdir()
    for trial in result.trials:
        _copy_json(source / "trials" / f"{trial.number}.json", target / "trials" / f"{trial.number}.json")
        if trial.outcome.artifact is not None:
            measurements = Path("artifacts", trial.outcome.artifact, "measurements")
            (target / measurements).mkdir(parents=True, exist_ok=True)
            for description in sorted((source / measurements).glob("trial-*.json")):  # no confirmation's rounds
                copy = target / measurements / description.name
                _copy_json(description, copy)
                _copy_samples(description.with_suffix(".npz"), copy.with_suffix(".npz"))


def _copy_json(source: Path, target: Path) -> None:
    """The same values without a space."""
    values = json.loads(source.read_text(encoding="utf-8"))
    target.write_text(json.dumps(values, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")


def _copy_samples(source: Path, target: Path) -> None:
    """The samples that the page shows, deflated; NumPy dates the members 1980: equal samples give equal files."""
    with np.load(source, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files if name.startswith(SAMPLES)}
    arrays["latency_ns"] = arrays["latency_ns"] * arrays["latency_counts"]  # nothing shows a query that does not count
    smaller = {name: a if a.dtype.kind == "f" else a.astype(np.min_scalar_type(a.max())) for name, a in arrays.items()}
    np.savez_compressed(target, **smaller)


def _check(draft: Path, source: Path, result: StudyResult) -> None:
    """Ends the program when the copy must not be kept."""
    copy = replace(load_result(draft), folder=source)
    if copy != replace(result, name=copy.name):
        raise SystemExit(f"the copy of {source} does not read as the study does")
    for trial in result.trials:
        if not _is_same(trial_samples(result, trial), trial_samples(replace(result, folder=draft), trial)):
            raise SystemExit(f"the copy's samples of trial {trial.number} are not those of {source}")
    if traces := private_traces(draft):
        raise SystemExit(f"{source} names this machine, so it cannot be kept:\n  " + "\n  ".join(traces[:20]))
    if (kib := _kib(_files(draft))) > MAX_KIB:
        weigh(draft)
        raise SystemExit(f"{kib:,.0f} KiB are too much to keep: at most {MAX_KIB:,} KiB")


def _is_same(one: Samples | str, other: Samples | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return (
        np.array_equal(one.latency_ns, other.latency_ns)
        and one.scores.keys() == other.scores.keys()
        and all(np.array_equal(scores, other.scores[name]) for name, scores in one.scores.items())
    )


def _texts(file: Path) -> Iterator[str]:
    """What a file says in words. An archive of samples has none but its members' names."""
    yield file.name
    if file.name == DATABASE_NAME:
        with closing(connect_to_copy(file)) as connection:
            yield from connection.iterdump()
    elif file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as archive:
            yield " ".join(archive.files)
    elif file.name == CONFIRMATION_NAME:  # bits in base64 may spell anything
        yield _BITS.sub("", file.read_text(encoding="utf-8"))
    else:
        yield file.read_text(encoding="utf-8")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _kib(files: list[Path]) -> float:
    return sum(file.stat().st_size for file in files) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("make")
    making.add_argument("source", type=Path, metavar="FROM")
    making.add_argument("--to", type=Path, default=REFERENCE, metavar="FOLDER")
    weighing = commands.add_parser("weigh")
    weighing.add_argument("folder", type=Path, nargs="?", default=REFERENCE)
    drawing = commands.add_parser("picture")
    drawing.add_argument("--to", type=Path, default=REFERENCE.parents[1] / "docs" / "front.png", metavar="FILE")
    arguments = parser.parse_args()
    run: dict[str, Callable[[], None]] = {
        "make": lambda: make(arguments.source, arguments.to),
        "weigh": lambda: weigh(arguments.folder),
        "picture": lambda: picture(REFERENCE, arguments.to),
    }
    run[arguments.command]()


if __name__ == "__main__":
    main()
