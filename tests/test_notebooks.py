"""The notebooks run from their first cell to their last, on a copy of the study that the repository keeps."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from explorer.space.expressions import parse_constraint
from explorer.study.front import front_view
from explorer.study.read import load_result

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LIMITS = ("accuracy >= 0.99 * baseline", "latency_ms <= 0.5 * baseline", "peak_memory_mib <= 256")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert [cell.outputs for cell in cells] == [[]] * len(cells)
    assert [cell.execution_count for cell in cells] == [None] * len(cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_imports_nothing_but_the_public_api(path):
    source = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imports] == ["import explorer"]


@pytest.mark.slow
def test_read_a_study_shows_the_front_and_picks_what_the_package_picks(tmp_path):
    assert (ROOT / "studies" / "reference").is_dir(), "make it with benchmarks/reference_study.py"
    shutil.copytree(ROOT / "studies" / "reference", tmp_path / "studies" / "reference")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    cells = run(tmp_path / "notebooks" / "read_a_study.ipynb")
    study = load_result(tmp_path / "studies" / "reference")
    summary = front_view(study)
    left = front_view(study, [parse_constraint(limit) for limit in LIMITS])
    pick = min(left.eligible, key=lambda entry: entry.trial.values()["cost_usd_per_million"])

    assert f"{len(study.trials)} trials, {summary.counts['complete']} feasible" in text_of(cells[0])
    fastest = min((trial for trial in study.trials if trial.is_feasible), key=lambda t: t.values()["latency_ms"])
    assert [line.split()[0] for line in table_of(cells[1])][:2] == ["0", str(fastest.number)]
    assert {line.split()[0] for line in table_of(cells[2])} >= {"eager", "onnxruntime"}
    figure = cells[3].outputs[0].data["application/vnd.plotly.v1+json"]
    (front,) = [trace for trace in figure["data"] if trace["meta"] == "front"]
    assert set(front["customdata"]) == {entry.trial.number for entry in summary.entries}
    said = text_of(cells[4])
    assert f"{len(left.entries)} variants" in said
    assert f"trial {pick.trial.number}:" in said
    assert f"{pick.trial.values()['latency_ms']:.4g}" in said


def run(path: Path) -> list[nbformat.NotebookNode]:
    """The notebook's code cells with what they gave, run where the notebook is."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell: nbformat.NotebookNode) -> str:
    """What the cell printed."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def table_of(cell: nbformat.NotebookNode) -> list[str]:
    """The rows of the table that the cell ends with, without its heading."""
    lines: list[str] = cell.outputs[0].data["text/plain"].splitlines()
    return [line for line in lines[2:] if line.strip()]
