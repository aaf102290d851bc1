"""What is installed: every file of the package that is not Python is named in pyproject.toml."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_package_data_covers_every_file_that_is_not_python() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    package = ROOT / "explorer"
    named = {path for pattern in settings["package-data"]["explorer"] for path in package.glob(pattern)}
    files = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}

    assert {path for path in files if path.suffix != ".py"} <= named
    assert any(path.suffix == ".safetensors" for path in named)
