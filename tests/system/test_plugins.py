"""Registries: plugins of other packages are found, and one that is broken is one sentence that names its package."""

from __future__ import annotations

import subprocess
import sys

import pytest

from explorer.errors import ExplorerError, NotAvailable
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


def test_registry_name_of_two_packages_is_refused(package):
    registry = package("[pareto_explorer.things]\nbuilt_in = good_thing:Thing\n")
    with pytest.raises(ExplorerError, match="has the name 'built_in', which collections:OrderedDict has already"):
        len(registry)


def test_entry_points_that_cannot_be_read_are_one_sentence(package, tmp_path):
    package("[pareto_explorer.tasks]\nno equals sign\n")
    program = "from explorer.tasks.task import TASKS\nprint(list(TASKS))"
    environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "NotAvailable: the entry_points.txt of an installed package cannot be read" in done.stderr


def test_broken_task_of_another_package_is_no_damage_of_a_study(package, tmp_path):
    package("[pareto_explorer.tasks]\nraising = raising_thing:Thing\n")
    environment = {"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"}
    command = [sys.executable, "-m", "explorer", "front", "studies/reference"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "damaged" not in done.stderr
    assert done.returncode == 5
    assert "the plugin 'raising' of pareto_explorer.tasks, of the package others, does not load" in done.stderr
