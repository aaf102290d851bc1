"""Fuzzing of what reads the files of strangers, guided by coverage: atheris, of the extra `fuzz`.

    python benchmarks/fuzz.py yaml|artifact|manifest [--seconds 300] [--seed 0] [--keep DIR]

    yaml       the reader of search spaces
    artifact   artifact.json, ONNX models, PyTorch programs and pickled tensors, before anything of them is loaded
    manifest   manifest.json, artifact.json beside it, and samples.npz of a bundle

Prints executions, seconds and crashes. A crash is any exception but the one that refuses bad input, more than 10 s for
one input, or more than 4 GiB; its input is kept in DIR, where `--keep` names one. The exit code is 1 after a crash.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MAX_BYTES = 2**15
SECONDS_EACH = 10
MEMORY_MIB = 4096

Target = Callable[[bytes], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="0: another each time")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--in", dest="place", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.place is not None:
        fuzz(arguments.target, arguments.place, arguments.seconds, arguments.seed)
        return
    with kept_or_temporary(arguments.keep) as place:
        n_crashes = supervise(arguments.target, place, arguments.seconds, arguments.seed)
    sys.exit(1 if n_crashes else 0)


@contextmanager
def kept_or_temporary(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def supervise(target: str, place: Path, seconds: int, seed: int) -> int:
    """Fuzz in a process of its own, which libFuzzer ends; print what came of it. Returns the number of crashes."""
    (place / "crashes").mkdir(exist_ok=True)
    command = [sys.executable, __file__, target, "--seconds", str(seconds), "--seed", str(seed), "--in", str(place)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    found = re.search(r"number_of_executed_units:\s*(\d+)", done.stdout)
    if found is None:
        sys.exit(f"the fuzzer did not run (exit status {done.returncode}):\n{done.stdout[-4000:]}")
    took = re.search(r"Done \d+ runs in (\d+) second", done.stdout)
    crashes = sorted((place / "crashes").iterdir())
    length = f"{took[1]} s" if took else "less time than asked for"
    print(f"{target}: {int(found[1]):,} executions in {length}, {len(crashes)} crashes")
    for crash in crashes:
        print(f"  {crash.name}: {crash.read_bytes()[:200]!r}")
    if crashes or not took:
        print(done.stdout[-4000:])
    return len(crashes)


def fuzz(name: str, place: Path, seconds: int, seed: int) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["explorer", "ruamel"]):
        target, seeds = TARGETS[name](place)
    corpus = place / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, content in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    flags = {
        "max_total_time": seconds,
        "max_len": MAX_BYTES,
        "timeout": SECONDS_EACH,
        "rss_limit_mb": MEMORY_MIB,
        "seed": seed,
        "print_final_stats": 1,
        "artifact_prefix": f"{place}/crashes/",
    }
    words = [f"-{flag}={value}" for flag, value in flags.items()]
    atheris.Setup([sys.argv[0], *words, str(corpus)], noting_crashes(target, place / "crashes"))
    atheris.Fuzz()


def noting_crashes(target: Target, folder: Path) -> Callable[[bytes], None]:
    """Keeps the first input of each fault and goes on; a fault is known by its type and where it was raised."""

    def run(content: bytes) -> None:
        try:
            target(content)
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            path = folder / f"{type(error).__name__}-{Path(at.filename).stem}-{at.lineno}"
            if not path.exists():
                traceback.print_exc()
                path.write_bytes(content)

    return run


def yaml_target(place: Path) -> tuple[Target, list[bytes]]:
    from explorer.errors import SpaceError
    from explorer.space.read import parse_space
    from explorer.study.vocabulary import vocabulary

    words = vocabulary()

    def read(content: bytes) -> None:
        with suppress(SpaceError):
            parse_space(content.decode("utf-8", "replace"), words, max_threads=2)

    folders = (ROOT / "search_spaces", ROOT / "tests" / "bad_inputs" / "spaces", ROOT / "explorer" / "space")
    return read, [path.read_bytes()[:MAX_BYTES] for folder in folders for path in sorted(folder.glob("*.yaml"))]


def artifact_target(place: Path) -> tuple[Target, list[bytes]]:
    """The first byte of an input says which of four readers gets the rest."""
    from explorer.runtimes.artifact import FILE_NAME, Artifact
    from explorer.runtimes.runtime import runtime
    from explorer.runtimes.untrusted.files import UnsafeFile
    from explorer.runtimes.untrusted.tensor_pickles import check_tensor_pickle

    def describe(content: bytes) -> None:
        (place / FILE_NAME).write_bytes(content)
        with suppress(ValueError):
            Artifact.read(place).damaged_files()

    readers: list[Target] = [
        describe,
        runtime("onnxruntime").check,
        runtime("eager").check,
        lambda content: check_tensor_pickle(memoryview(content)),
    ]

    def read(content: bytes) -> None:
        with suppress(UnsafeFile):
            readers[content[0] % len(readers) if content else 0](content[1:])

    return read, [bytes([number]) + content for number, content in enumerate(_artifact_seeds())]


def _artifact_seeds() -> list[bytes]:
    """A sound input for each reader."""
    import torch
    from onnx import TensorProto, helper

    from explorer.runtimes.artifact import ArtifactFacts, SegmentFacts
    from explorer.tasks.task import TensorSpec

    facts = ArtifactFacts(
        id="x",
        runtime="eager",
        quantization="none",
        exit_threshold=1.0,
        trust="checked",
        input=TensorSpec("images", "uint8", (3, 8, 8)),
        is_batch_invariant=True,
        n_parameters=1,
        int8_range=None,
        max_logit_difference=0.0,
        segments=(SegmentFacts("segment_0.onnx", "0" * 64, 1, 0.5, 1, 0, 0.0),),
    )
    node = helper.make_node("Add", ["a", "b"], ["c"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "ac"]
    constant = helper.make_tensor("b", TensorProto.FLOAT, [2], [1.0, 2.0])
    graph = helper.make_graph([node], "g", values[:1], values[1:], [constant])
    program, pickled = io.BytesIO(), io.BytesIO()
    torch.export.save(torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),)), program)
    torch.save((torch.zeros(4),), pickled)
    return [
        json.dumps(facts.to_json()).encode(),
        helper.make_model(graph).SerializeToString(),
        program.getvalue(),
        pickled.getvalue(),
    ]


def manifest_target(place: Path) -> tuple[Target, list[bytes]]:
    """The first byte of an input says which of three readers gets the rest."""
    sys.path.insert(0, str(ROOT / "tests" / "deploy"))
    from tiny_bundle import write_tiny_bundle

    from explorer.deploy.verify.bundle import read_bundle, read_manifest
    from explorer.deploy.verify.consistency import check_artifact
    from explorer.deploy.verify.samples import read_samples
    from explorer.errors import VerificationFailed
    from explorer.study.store.validation import strict_object

    with tempfile.TemporaryDirectory(dir=place) as folder:
        honest = read_bundle(write_tiny_bundle(Path(folder) / "bundle", n_exits=2))
        names = ("manifest.json", "model/artifact.json", "samples.npz")
        seeds = [bytes([number]) + (honest.folder / name).read_bytes() for number, name in enumerate(names)]
    readers: list[Callable[[bytes], Any]] = [
        read_manifest,
        lambda content: check_artifact(strict_object("artifact.json", content), honest.manifest),
        lambda content: read_samples(content, honest.manifest),
    ]

    def read(content: bytes) -> None:
        with suppress(VerificationFailed):
            readers[content[0] % len(readers) if content else 0](content[1:])

    return read, seeds


TARGETS: dict[str, Callable[[Path], tuple[Target, list[bytes]]]] = {
    "yaml": yaml_target,
    "artifact": artifact_target,
    "manifest": manifest_target,
}


if __name__ == "__main__":
    main()
