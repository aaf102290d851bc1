from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["explorer.data", "explorer.data.source", "explorer.data.cifar10"])
def test_import_loads_no_heavy_library(module: str) -> None:
    heavy = ("torch", "torchvision", "sklearn", "PIL")
    program = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_locate_digits_imports_no_scikit_learn() -> None:
    program = """
import sys
from explorer.data.source import locate
from explorer.space.values import DataSettings
print(locate(DataSettings("digits", 100, 50), None).kind, "sklearn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "scikit-learn False"
