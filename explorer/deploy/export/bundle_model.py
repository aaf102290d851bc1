"""The model of a bundle and its command line. Part of every bundle; imports nothing of this package."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class BundleModel:
    """The network of the bundle in `folder`. Thread-safe.

    `parts` are the modules of its folder lib/: `staged`, `loading` and `files`. It runs on `threads` threads; None: as
    many as were measured.
    """

    def __init__(self, folder: Path, parts: Mapping[str, ModuleType], threads: int | None = None) -> None:
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        execution = self.manifest["execution"]
        facts = json.loads((folder / "model" / "artifact.json").read_text(encoding="utf-8"))
        files = [folder / "model" / segment["file"] for segment in facts["segments"]]
        load, n_threads = parts["loading"].load_segments, threads or execution["threads"]
        own = {name: self.manifest["variant"][name] for name in getattr(parts["loading"], "PARAMETERS", ())}
        loaded = load(files, n_threads, execution["quantization"], **own)
        self.executor = parts["staged"].StagedExecutor(
            loaded, execution["exit_threshold"], getattr(parts["files"], "confidence", None)
        )
        self.files = parts["files"]
        self.facts: dict[str, Any] = self.manifest["task"]["facts"]
        self.shape: tuple[int, ...] = tuple(self.manifest["inputs"][0]["shape"])
        self.batch_size: int = self.manifest["variant"]["batch_size"]

    def run(self, inputs: Array) -> tuple[Array, Array]:
        """Return outputs [b, k] of the exit that each input [b, ...] took, and the index of that exit [b]."""
        outputs, exits = self.executor.classify(inputs)
        return outputs, exits

    classify = run

    def answers(self, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
        """Yield an answer for each file, in order, from batches of the measured size.

        An answer has the `file`, what the task makes of the output, and the `exit` taken (0: the first); or the `error`
        of a file that is not an input; each is None otherwise.
        """
        for start in range(0, len(files), self.batch_size):
            yield from self._answers(files[start : start + self.batch_size])

    def _answers(self, files: Sequence[Path]) -> list[dict[str, Any]]:
        read: list[Array | str] = [self._read(file) for file in files]
        inputs = [one for one in read if not isinstance(one, str)]
        made = zip(*self.run(np.stack(inputs)), strict=True) if inputs else iter(())
        answers: list[dict[str, Any]] = []
        for file, one in zip(files, read, strict=True):
            if isinstance(one, str):
                answers.append({"file": str(file), "exit": None, "error": one})
            else:
                output, taken = next(made)
                answer = self.files.answer(output, self.facts)
                answers.append({"file": str(file), **answer, "exit": int(taken), "error": None})
        return answers

    def _read(self, file: Path) -> Array | str:
        try:
            return np.asarray(self.files.read(file, self.shape))
        except self.files.UnreadableFile as error:
            return str(error)


def find(paths: Sequence[Path], suffixes: Sequence[str]) -> list[Path]:
    """Return the paths that are files, and the files of these suffixes in those that are folders, at any depth."""
    found = []
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes) if path.is_dir() else []
        found += inside if path.is_dir() else [path]
    return found


def main(make: Callable[[int | None], BundleModel], files: ModuleType, noun: tuple[str, str]) -> int:
    """Run the command line. Return the exit code: 0; 1 when a file cannot be read; 2 when there is none.

    `files` is the module of that name, `noun` what a file holds, singular and plural.
    """
    parser = argparse.ArgumentParser(description="Run the network in this folder.")
    parser.add_argument("paths", nargs="+", type=Path, metavar=noun[0].upper(), help="a file, or a folder of them")
    parser.add_argument("--threads", type=int, help="threads of the runtime (else as measured)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line")
    options = parser.parse_args()
    found = find(options.paths, files.SUFFIXES)
    if not found:
        print(f"no {noun[1]} in {', '.join(map(str, options.paths))}", file=sys.stderr)
        return 2
    n_unread = 0
    for answer in make(options.threads).answers(found):
        n_unread += answer["error"] is not None
        if options.json:
            print(json.dumps(answer))
        elif answer["error"] is not None:
            print(f"{answer['file']}: {answer['error']}", file=sys.stderr)
        else:
            print(f"{answer['file']}: {files.text(answer)}")
    return 1 if n_unread else 0
