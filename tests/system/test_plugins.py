"""Registries: plugins of other packages are found, and one that is broken is one sentence that names its package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.errors import NotAvailable
from explorer.system.plugins import Registry

BUILT_IN = {"built_in": "collections:OrderedDict"}
POINTS = """\
[pareto_explorer.things]
good = good_thing:Thing
module = good_thing
missing = no_such_module:Thing
without = good_thing:Nothing
raising = raising_thing:Thing
leaving = leaving_thing:Thing
needy = good_thing:Needy
number = good_thing:NUMBER
"""
MODULES = {
    "good_thing.py": "class Thing(dict): pass\nclass Needy(dict):\n    def __init__(self, a): pass\nNUMBER = 3\n",
    "raising_thing.py": "raise RuntimeError('broken')\n",
    "leaving_thing.py": "import sys\nsys.exit(7)\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package with these entry points; its name is `others`."""

    def install(points: str = POINTS) -> Registry:
        info = tmp_path / "others-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        for name, text in MODULES.items():
            (tmp_path / name).write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        return Registry("things", BUILT_IN)

    yield install
    for name in MODULES:
        sys.modules.pop(name.removesuffix(".py"), None)


def test_registry_has_built_in_plugins_and_those_of_packages(package):
    registry = package()
    assert next(iter(registry)) == "built_in"
    assert type(registry.make("good", dict)).__name__ == "Thing"
    assert registry.load("module").__name__ == "good_thing"
    assert (registry.package("built_in"), registry.package("good")) == ("pareto-explorer", "others")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing", "does not load .*no_such_module"),
        ("without", "does not load .*Nothing"),
        ("raising", r"does not load \(RuntimeError: broken\)"),
        ("leaving", r"does not load \(SystemExit: 7\)"),
        ("needy", "cannot be made .*TypeError"),
        ("number", "is good_thing:NUMBER, which is no dict"),
        ("module", "is good_thing, which is no dict"),
    ],
)
def test_make_plugin_that_is_broken_is_a_sentence_with_its_package(package, name, why):
    with pytest.raises(NotAvailable, match=f"'{name}' of pareto_explorer.things, of the package others, {why}"):
        package().make(name, dict)


def test_registry_name_of_two_packages_is_refused_when_it_is_used(package):
    registry = package("[pareto_explorer.things]\nbuilt_in = good_thing:Thing\nother = good_thing:Thing\n")
    assert type(registry.make("other", dict)).__name__ == "Thing"
    with pytest.raises(NotAvailable, match="has the name 'built_in', which collections:OrderedDict has already"):
        registry.load("built_in")


class Sized:
    size: int


class Unsized(Sized):
    pass


def test_make_plugin_that_lacks_an_attribute_says_which():
    registry = Registry("things", {"one": f"{__name__}:Unsized"})
    with pytest.raises(NotAvailable, match="has no size, which a Sized needs"):
        registry.make("one", Sized)


def run(tmp_path, *words):
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}
    done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


BROKEN = """\
[pareto_explorer.tasks]
broken_task = raising_thing:Thing
[pareto_explorer.runtimes]
broken_runtime = raising_thing:Thing
[pareto_explorer.scenarios]
broken_scenario = raising_thing:Thing
[pareto_explorer.families]
broken_family = raising_thing:Thing
"""


def test_broken_package_that_is_not_used_ends_no_command(package, tmp_path):
    package(BROKEN)
    done = run(tmp_path, "-m", "explorer", "front", "studies/reference")
    assert done.returncode == 0, done.stderr


def test_broken_package_is_named_where_its_plugin_is_asked_for_or_plugins_are_listed(package, tmp_path):
    package(BROKEN)
    fault = "'{}' of pareto_explorer.{}, of the package others, does not load (RuntimeError: broken)"
    text = Path("search_spaces/digits.yaml").read_text()
    for change, kind, named in (
        ("model: slimmable_cnn", "families", "model: {}"),
        ("runtime:        [eager, onnxruntime]", "runtimes", "runtime: [{}]"),
        ("objectives:", "tasks", "task: {}\nobjectives:"),
        ("objectives:", "scenarios", "scenario: {}\nobjectives:"),
    ):
        assert change in text
        name = {"families": "broken_family"}.get(kind, f"broken_{kind[:-1]}")
        for asked, code in ((name, 5), ("nobody", 2)):
            (tmp_path / "space.yaml").write_text(text.replace(change, named.format(asked)))
            done = run(tmp_path, "-m", "explorer", "check", str(tmp_path / "space.yaml"))
            assert (done.returncode, fault.format(name, kind) in done.stderr) == (code, True), done.stderr


def test_entry_points_that_cannot_be_read_are_one_sentence(package, tmp_path):
    package("[pareto_explorer.tasks]\nno equals sign\n")
    done = run(tmp_path, "-m", "explorer", "front", "studies/reference")
    assert done.returncode == 5
    assert "the entry_points.txt of an installed package cannot be read" in done.stderr


def test_survey_has_what_can_be_used_and_says_why_not_of_the_rest(package):
    registry = package()
    usable, faults = registry.survey(lambda name: registry.make(name, dict))
    assert list(usable) == ["built_in", "good"]
    assert list(faults) == ["module", "missing", "without", "raising", "leaving", "needy", "number"]


def test_make_of_an_ill_formed_plugin_names_its_package(package):
    registry = package()
    with pytest.raises(NotAvailable, match=r"of the package others, is ill-formed \(KeyError: 'parameters'\)"):
        registry.make("good", dict, lambda made: made["parameters"])
