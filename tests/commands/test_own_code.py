"""Code of a user's own network: which commands run it, that they say so first, and that a study alone cannot ask."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import VOCABULARY, FakeEvaluator, small_space
from fakes import start as run_fake_study

import explorer
from explorer.commands import start as start_command
from explorer.commands.check import check
from explorer.commands.options import ConfirmOptions, StartOptions
from explorer.commands.start import require_named
from explorer.commands.train import train
from explorer.errors import Interrupted, NotAvailable, SpaceError, UsageError
from explorer.study.read import load_result

SPACE = """\
name: own
model: my_net:network
input: unit
data: {name: digits}
parameters: {pruning_ratio: [0.0, 0.5], runtime: [eager, onnxruntime]}
objectives: {accuracy: maximize, latency_ms: minimize, cost_usd_per_million: minimize}
search: {sampler: random, trials: 2}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a search space and the module that it names, which leaves a mark when it is run."""
    monkeypatch.setenv("EXPLORER_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(SPACE)
    (tmp_path / "my_net.py").write_text("open('it-ran', 'w').close()\n")
    yield tmp_path
    assert not (tmp_path / "it-ran").exists()


def said_line(here: Path) -> str:
    return f"this runs Python code that is not of this program: my_net:network, from {here / 'my_net.py'}\n"


@pytest.fixture
def begin(here, monkeypatch, capsys):
    """Start the study on a fake evaluator; what was said until it was prepared."""

    def begin(**options) -> str:
        said = []

        class Listening(FakeEvaluator):
            def prepare(self, on_progress):
                said.append(capsys.readouterr().err)
                return super().prepare(on_progress)

        monkeypatch.setattr(start_command, "MeasuringEvaluator", lambda space, folder, *_: Listening(folder))
        monkeypatch.setattr(start_command, "write_outputs", lambda result: None)
        values = {"studies": here / "studies", "no_dashboard": True, "no_confirm": True} | options
        start_command.start(StartOptions(here / "own.yaml", **values))
        return said[0]

    return begin


@pytest.mark.parametrize("is_quiet", [False, True])
def test_start_own_network_says_whose_code_it_runs_before_anything_else(begin, here, is_quiet):
    assert begin(quiet=is_quiet).startswith(said_line(here))


def test_start_family_of_the_package_says_nothing_of_code(begin, here):
    (here / "own.yaml").write_text(SPACE.replace("my_net:network\ninput: unit", "slimmable_cnn"))

    assert "Python code" not in begin()


def test_check_own_network_names_its_file_and_runs_nothing(here, capsys):
    check(here / "own.yaml", None, is_json=False)

    said = " ".join(capsys.readouterr().out.split())
    assert f"ok network: my_net:network, from {here / 'my_net.py'}: Python code that is not of this program" in said


def test_check_own_network_says_what_it_will_see(here, capsys):
    check(here / "own.yaml", None, is_json=False)
    images = "ok images: 1 channel, 8 × 8, uint8 0-255, normalized by input: unit"
    assert images in " ".join(capsys.readouterr().out.split())


def test_check_own_network_without_input_proposes_the_line(here):
    (here / "own.yaml").write_text(SPACE.replace("input: unit\n", ""))
    with pytest.raises(SpaceError, match=r"has no 'input', which .* needs: .*'input: unit'") as caught:
        check(here / "own.yaml", None, is_json=False)
    assert caught.value.exit_code == 2


def test_start_own_network_without_input_runs_nothing(begin, here):
    (here / "own.yaml").write_text(SPACE.replace("input: unit\n", ""))
    with pytest.raises(SpaceError, match="has no 'input'"):
        begin()


def test_check_own_network_for_other_channels_is_refused(here):
    (here / "own.yaml").write_text(SPACE.replace("input: unit\n", "input: imagenet\n"))
    with pytest.raises(UsageError, match="of 3 channels, and the inputs have 1 channel"):
        check(here / "own.yaml", None, is_json=False)


def test_check_own_network_that_is_nowhere_is_missing(here, capsys):
    (here / "my_net.py").unlink()

    with pytest.raises(NotAvailable, match=r"is missing: network ") as caught:
        check(here / "own.yaml", None, is_json=False)
    assert caught.value.exit_code == 5
    assert "MISSING network: no module of my_net:network is in" in capsys.readouterr().out


def test_train_own_network_is_refused_and_runs_nothing(here):
    with pytest.raises(UsageError, match="is your own network and comes trained") as caught:
        train(here / "own.yaml", None, None, is_json=False, is_quiet=False)
    assert caught.value.exit_code == 2


@pytest.fixture
def study(here, monkeypatch):
    """A study, as it may come from somebody else: its database names the module beside it."""
    monkeypatch.setattr(start_command, "vocabulary", lambda: VOCABULARY)
    monkeypatch.setattr(start_command, "write_outputs", lambda result: None)
    folder = here / "theirs"
    run_fake_study(replace(small_space("theirs", n_trials=4), model="my_net:network"), folder)
    return folder


def confirm(study: Path, monkeypatch, model: str | None, **options) -> list[str]:
    """The models that an evaluator was made for."""
    made = []

    def evaluator(space, folder, data, interrupt):
        made.append(space.model)
        return FakeEvaluator(folder, **options)

    monkeypatch.setattr(start_command, "MeasuringEvaluator", evaluator)
    start_command.confirm(ConfirmOptions(str(study), 5, model=model, quiet=True))
    return made


def test_confirm_study_that_names_code_is_refused_until_the_user_names_it(study, here, monkeypatch):
    sentence = (
        rf"(?s)theirs is a study of 'my_net:network', .*{re.escape(str(here / 'my_net.py'))}.*--model my_net:network"
    )
    with pytest.raises(UsageError, match=sentence) as caught:
        confirm(study, monkeypatch, None)
    assert caught.value.exit_code == 2
    assert load_result(study).confirmation is None


def test_confirm_other_code_than_the_studys_is_refused(study, monkeypatch):
    with pytest.raises(
        UsageError, match=r"--model: expected 'my_net:network', the model of .*theirs, got 'mine:network'"
    ):
        confirm(study, monkeypatch, "mine:network")


def test_confirm_code_that_the_user_named_says_so_and_runs(study, here, monkeypatch, capsys):
    assert confirm(study, monkeypatch, "my_net:network") == ["my_net:network"]
    assert capsys.readouterr().err.startswith(said_line(here))
    assert load_result(study).confirmation is not None


def test_confirm_interrupted_repeats_whose_code_may_run(study, monkeypatch):
    def stop(variant, name):
        raise Interrupted("interrupted by SIGINT")

    monkeypatch.setattr("sys.argv", ["explore", "confirm", str(study), "--model", "my_net:network"])
    with pytest.raises(Interrupted, match=r"To go on: explore confirm .* --model my_net:network$"):
        confirm(study, monkeypatch, "my_net:network", before_again=stop)


@pytest.mark.parametrize("named", [None, "slimmable_cnn"])
def test_require_named_family_of_the_package_needs_no_name(named):
    require_named("slimmable_cnn", named, "small")  # raises nothing
    with pytest.raises(UsageError, match="expected 'slimmable_cnn'"):
        require_named("slimmable_cnn", "my_net:network", "small")


def test_control_characters_of_a_strangers_study_reach_no_terminal():
    with pytest.raises(UsageError) as caught:
        require_named("a\x1b[2J:b\nexplore: all is well", None, "theirs")
    assert str(caught.value).isprintable()


def test_only_commands_that_say_whose_code_runs_have_a_builder():
    """A network of a user's own is loaded by the builder alone, which a MeasuringEvaluator starts."""
    root = Path(explorer.__file__).parent
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in root.rglob("*.py")}

    def callers(pattern: str) -> set[str]:
        return {name for name, text in texts.items() if re.search(rf"(?<!def )\b(?:{pattern})\(", text)}

    assert callers("MeasuringEvaluator") == {
        "api.py",
        *(f"commands/{name}.py" for name in ("start", "train")),
    }
    assert callers("load_own|load_or_train") == {"models/store.py", "build/builder.py"}
