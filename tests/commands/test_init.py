from pathlib import Path

import pytest
from ruamel.yaml import YAML

from explorer.commands.init import write_template
from explorer.errors import UsageError
from explorer.space.input_spec import InputSpec
from explorer.space.read import load_space
from explorer.space.values import Vocabulary


@pytest.mark.parametrize("name", ["mine", "123", "1e5", "null", "2026-11-20", ".5e3", "a.b-c_d"])
def test_write_template_writes_a_space_that_loads(tmp_path: Path, vocabulary: Vocabulary, name: str) -> None:
    path = write_template(name, tmp_path)
    assert path == tmp_path / f"{name}.yaml"
    assert load_space(path, vocabulary).name == name


def test_write_template_shows_how_a_network_of_ones_own_says_its_input(tmp_path: Path, vocabulary: Vocabulary) -> None:
    path = write_template("mine", tmp_path)
    text = path.read_text().replace("# input: unit", "input: unit").replace("model: slimmable_cnn", "model: nets:make")
    path.write_text(text.replace("training:\n  recipe: default\n", "").replace("[0.25, 0.5, 0.75, 1.0]", "1.0", 1))
    text = path.read_text().replace("{min: 0.5, max: 1.0, step: 0.05}", "1.0")
    path.write_text(text)
    assert load_space(path, vocabulary).input == InputSpec("unit")


def test_write_template_of_a_file_name_does_not_double_the_ending(tmp_path: Path) -> None:
    assert write_template("mine.yaml", tmp_path).name == "mine.yaml"


def test_write_template_explains_every_key(tmp_path: Path) -> None:
    path = write_template("mine", tmp_path)
    lines = path.read_text().splitlines()
    sections = YAML(typ="safe").load(path)
    for section in ("data", "parameters", "search"):
        for key in sections[section]:
            if (section, key) == ("search", "timeout"):
                continue  # explained together with trials, the line before it
            at = next(
                i for i, line in enumerate(lines) if line.startswith(f"  {key}:") and i > lines.index(f"{section}:")
            )
            assert lines[at - 1].lstrip().startswith("#"), key


def test_write_template_over_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("precious")
    with pytest.raises(UsageError, match=r"mine\.yaml exists and is not overwritten"):
        write_template("mine", tmp_path)
    assert (tmp_path / "mine.yaml").read_text() == "precious"


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a\0b", "🚀", "x" * 300, ".yaml"])
def test_write_template_of_a_name_that_no_study_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a name that matches"):
        write_template(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_write_template_where_nothing_can_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"x\.yaml cannot be written: "):
        write_template("x", tmp_path / "file")
