import importlib.util
import sys
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location("pareto_oracle", Path(__file__).with_name("oracle.py"))
sys.modules["pareto_oracle"] = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sys.modules["pareto_oracle"])
