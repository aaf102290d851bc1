"""Every bad input through the command line: the promised exit code and sentence, and nothing executed, lost or left."""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import bad_archives
import bad_bundles
import bad_data
import bad_files
import bad_models
import bad_records
import bad_studies
import pytest
from bad_case import CANARY, Case

SPACES = Path(__file__).parent / "spaces"
EXPECTED = tomllib.loads((SPACES / "expected.toml").read_text(encoding="utf-8"))
CASES = (
    *bad_files.CASES,
    *bad_data.CASES,
    *bad_archives.CASES,
    *bad_models.CASES,
    *bad_studies.CASES,
    *bad_records.CASES,
    *bad_bundles.CASES,
)

# The lock of a study that did not begin: it is empty, and whoever starts the study next takes it.
_LOCK = re.compile(r"studies(/[\w-]+(/study\.lock)?)?")


def check_promise(case: Case, work: Path, explore: Callable, snapshot: Callable) -> None:
    """Run the case's command in `work`, and hold what happens against what is promised."""
    case.make(work)
    before = snapshot(work)
    said = explore(*case.command)
    assert said.exit_code == case.exit_code, said.err
    assert re.search(case.says, said.sentence), said.err
    assert case.is_users_code or "Traceback" not in said.err + said.out
    assert "\x1b" not in said.err + said.out
    after = {name: facts for name, facts in snapshot(work).items() if name in before or not _LOCK.fullmatch(name)}
    assert after == before
    assert CANARY not in after
    # Torch makes its own folder when it is imported; the builder of a study is a process that imports it.
    left = [path.name for path in (work.parent / "temporary").iterdir() if not path.name.startswith("torchinductor_")]
    assert left == []
    assert not list((work.parent / "cache").rglob(".*.tmp"))


def test_spaces_all_have_an_expectation():
    assert {path.stem for path in SPACES.glob("*.yaml")} == set(EXPECTED)


def test_cases_are_many_and_each_has_its_name():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert len(names) + len(EXPECTED) >= 60


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_space_that_is_bad_is_refused_as_promised(name, work, explore, snapshot):
    flags, _, says = EXPECTED[name]["says"].rpartition("^:")
    says = rf"{flags}^{name}\.yaml:{says}"
    make = partial(shutil.copy, SPACES / f"{name}.yaml")
    case = Case(name, make, ("check", f"{name}.yaml"), EXPECTED[name]["exit"], says)
    check_promise(case, work, explore, snapshot)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_input_that_is_bad_is_refused_as_promised(case, work, explore, snapshot):
    check_promise(case, work, explore, snapshot)
