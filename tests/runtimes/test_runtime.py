"""Runtimes by name: those of this package, and those that another package registers by an entry point."""

from __future__ import annotations

import pytest

from explorer.errors import RuntimeNotAvailable
from explorer.runtimes.runtime import RUNTIMES, runtime, runtime_modules
from explorer.system.plugins import Registry

ABACUS = """
from explorer.runtimes.onnxruntime import OnnxRuntime


class Abacus(OnnxRuntime):
    name = "abacus"
    modules = ("beads",)
"""


@pytest.fixture
def abacus(tmp_path, monkeypatch):
    """An installed package with a runtime."""
    (tmp_path / "abacus_plugin.py").write_text(ABACUS)
    installed = tmp_path / "abacus_package-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus-package\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[pareto_explorer.runtimes]\nabacus = abacus_plugin:Abacus\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = Registry("runtimes", RUNTIMES._built_in)
    for name in ("_points", "_places"):
        monkeypatch.setattr(RUNTIMES, name, getattr(found, name))


def test_runtime_of_nobody_is_not_available():
    with pytest.raises(
        RuntimeNotAvailable, match=r"'abacus' is not registered here, where there are eager, onnx"
    ) as no:
        runtime("abacus")
    assert no.value.exit_code == 5


def test_runtime_of_an_entry_point_is_one_like_any_other(abacus):
    assert list(RUNTIMES) == ["eager", "onnxruntime", "abacus"]
    assert runtime("abacus").segment_name(2) == "segment_2.onnx"
    assert RUNTIMES.package("abacus") == "abacus-package"
    assert RUNTIMES.package("eager") == "pareto-explorer"


def test_runtime_modules_are_those_of_every_runtime(abacus):
    assert runtime_modules() == {"torch", "torchao", "onnxruntime", "beads"}


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtime_says_how_it_trusts_and_what_its_files_are_called(name):
    plugin = runtime(name)
    assert plugin.trust in ("checked", "native")
    assert plugin.segment_name(0).startswith("segment_0.")
