"""A package of somebody else: the regression of docs/extending.md, and a network for it that can be pruned."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def documented(page: str) -> dict[str, str]:
    """The modules in a page, by the name in their first line."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL))


PRUNED_MLP = """

def pruned_mlp(n_outputs, input_shape):
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(*input_shape, 32), torch.nn.ReLU(), torch.nn.Linear(32, n_outputs))
"""
TASK = documented("docs/extending.md")["diabetes_task.py"] + PRUNED_MLP
ENTRY_POINTS = """\
[pareto_explorer.tasks]
diabetes = diabetes_task:Diabetes
"""
METADATA = "Metadata-Version: 2.1\nName: diabetes-task\nVersion: 1.0\n"
