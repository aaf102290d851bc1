"""Search spaces that are no small text file of their own: missing, huge, special, nested without end."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from bad_case import Case

CHECK = ("check", "cnn.yaml")


def _nothing(work: Path) -> None:
    """There is no file."""


def _vast(work: Path) -> None:
    with (work / "cnn.yaml").open("wb") as file:
        file.truncate(50_000_000)  # takes no room on the disk


def _folder_called_like_a_file(work: Path) -> None:
    (work / "cnn.yaml").mkdir()


def _text(text: str) -> Callable[[Path], object]:
    return lambda work: (work / "cnn.yaml").write_text(text)


CASES = (
    Case("space_missing", _nothing, CHECK, 2, r"^cnn\.yaml: there is no such file; 'explore init NAME' writes"),
    Case("space_misspelled", lambda work: (work / "cnn.yaml").touch(), ("start", "cmn.yaml"), 2,
         r"^cmn\.yaml: there is no such file; (?s:.*)\ndid you mean 'cnn\.yaml'\?"),
    Case("space_that_is_a_folder", _folder_called_like_a_file, CHECK, 2,
         r"^cnn\.yaml: expected a search space, got a folder"),
    Case("space_that_is_a_pipe", lambda work: os.mkfifo(work / "cnn.yaml"), CHECK, 2,
         r"^cnn\.yaml: expected a search space, got something that is not a regular file"),
    Case("space_that_is_a_device", _nothing, ("check", "/dev/zero"), 2, r"^/dev/zero: .* not a regular file"),
    Case("space_that_is_a_loop_of_links", lambda work: os.symlink("cnn.yaml", work / "cnn.yaml"), CHECK, 2,
         r"^cnn\.yaml: the search space cannot be read: Too many levels of symbolic links"),
    Case("space_of_300_letters", _nothing, ("check", "x" * 300), 2,
         r"^x+: the search space cannot be read: File name too long"),
    Case("space_of_50_megabytes", _vast, CHECK, 2,
         r"^cnn\.yaml: a search space has at most 128 KiB, this file has 48828 KiB"),
    Case("space_nested_10000_deep", _text("[" * 10_000), CHECK, 2,
         r"^cnn\.yaml:1:21: a search space is nested at most 20 deep"),
    Case("space_indented_450_deep", _text("\n".join(" " * n + "a:" for n in range(450))), CHECK, 2,
         r"^cnn\.yaml:\d+:\d+: a search space is nested at most 20 deep"),
    Case("space_of_50000_values", _text("[" + "0," * 50_000 + "]"), CHECK, 2,
         r"^cnn\.yaml:1:\d+: a search space has at most 8000 values and keys"),
    Case("space_of_one_quoted_line", _text('"' + "\\x41" * 30_000), CHECK, 2, r"^cnn\.yaml:\d+:\d+: this is not YAML"),
    Case("template_of_a_path", _nothing, ("init", "../elsewhere"), 2, r"^expected a name that matches"),
    Case("template_of_300_letters", _nothing, ("init", "x" * 300), 2, r"^expected a name that matches"),
    Case("template_that_is_there", lambda work: (work / "cnn.yaml").write_text("mine"), ("init", "cnn"), 2,
         r"^cnn\.yaml exists and is not overwritten"),
)  # fmt: skip
