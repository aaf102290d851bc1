import os
from pathlib import Path

import pytest

from explorer.errors import SpaceError
from explorer.space.source import MAX_BYTES, Source, read_source


def test_error_shows_sentence_line_caret_and_hint() -> None:
    error = Source("a.yaml", "x: 1\n  typo: 2\n").error(2, 3, "no such key", "type")
    assert str(error) == "a.yaml:2:3: no such key\n    typo: 2\n    ^\ndid you mean 'type'?"


def test_error_beyond_the_last_line_shows_no_line() -> None:
    assert str(Source("a.yaml", "x").error(9, 1, "ends early")) == "a.yaml:9:1: ends early"


def test_error_in_a_long_line_shows_the_part_around_the_column() -> None:
    _, line, caret = str(Source("a", "x" * 5000 + "Y" + "z" * 5000).error(1, 5001, "here")).split("\n")
    assert len(line) < 120
    assert line[caret.index("^")] == "Y"


def test_error_in_a_line_with_a_tab_keeps_the_caret_under_the_column() -> None:
    _, line, caret = str(Source("a", "\tab").error(1, 2, "here")).split("\n")
    assert line[caret.index("^")] == "a"


def test_error_in_a_line_with_control_characters_does_not_repeat_them() -> None:
    assert "\x1b" not in str(Source("a", "\x1b[31mred").error(1, 1, "here"))


def test_read_source_returns_text_without_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xa4\n")
    assert read_source(path).text == "name: ä\n"


@pytest.mark.parametrize(
    ("written", "asked"), [("cnn.yaml", "cmn.yaml"), ("cnn.yaml", "cnn"), ("digits.yml", "Digits.yaml")]
)
def test_read_source_of_a_missing_file_names_a_similar_one(tmp_path: Path, written: str, asked: str) -> None:
    (tmp_path / written).touch()
    with pytest.raises(SpaceError, match=rf"no such file; .*explore init(.|\n)*did you mean '.*{written}'\?"):
        read_source(tmp_path / asked)


def test_read_source_of_a_missing_file_looks_into_search_spaces(tmp_path: Path) -> None:
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "cnn.yaml").touch()
    with pytest.raises(SpaceError, match=r"did you mean '.*search_spaces/cnn.yaml'\?"):
        read_source(tmp_path / "cnn.yaml")


def test_read_source_of_a_missing_file_in_a_missing_folder_has_no_hint(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"x\.yaml: there is no such file; [^\n]*$"):
        read_source(tmp_path / "nowhere" / "x.yaml")


def test_read_source_of_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match="expected a search space, got a folder"):
        read_source(tmp_path)


def test_read_source_of_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(SpaceError, match="not a regular file"):
        read_source(tmp_path / "pipe.yaml")


def test_read_source_of_an_unreadable_file_names_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(SpaceError, match=r"a\.yaml: the search space cannot be read: Permission denied"):
        read_source(path)


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 300 + ".yaml"])
def test_read_source_of_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpaceError, match=r"no file can have|cannot be read"):
        read_source(tmp_path / name)


def test_read_source_of_50_mb_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    with pytest.raises(SpaceError, match=f"at most {MAX_BYTES // 1024} KiB, this file has 48828 KiB"):
        read_source(path)


def test_read_source_of_text_that_is_not_utf8_points_at_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("ä: 1\nname: ".encode() + b"\xe4\n")
    with pytest.raises(SpaceError, match=r"latin\.yaml:2:7: the byte 0xe4 is not UTF-8"):
        read_source(path)


@pytest.mark.parametrize(("content", "code"), [(b"a: 1\nb: \x00", "0000"), (b"a: 1\nb: \x1b[0m", "001B")])
def test_read_source_of_control_characters_points_at_the_first(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SpaceError, match=rf"a\.yaml:2:4: the character U\+{code} cannot stand in YAML"):
        read_source(path)
