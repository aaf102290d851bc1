"""MLflow models of the onnx flavor: the ONNX file with its signature, an input example, and its requirements."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from explorer.deploy.export.onnx_file import onnx_model, properties
from explorer.deploy.export.plan import ExportPlan
from explorer.deploy.manifest import Manifest
from explorer.errors import RuntimeNotAvailable
from explorer.runtimes.onnx_compose import Tensor, inputs_and_outputs, parsed

_NO_REPORTS = {"MLFLOW_DISABLE_TELEMETRY": "true", "ORT_DISABLE_TELEMETRY": "1"}
"""MLflow and the ONNX Runtime that it loads send telemetry unless these are set before their import."""


def write_mlflow(folder: Path, plan: ExportPlan) -> None:
    """Fill the empty `folder` with a model for `mlflow.onnx.load_model` and `mlflow.pyfunc.load_model`.

    The first sample becomes the input example. Raises OSError; UsageError for an artifact without ONNX files;
    RuntimeNotAvailable where MLflow is not installed.
    """
    manifest = plan.manifest
    model = onnx_model(plan.artifact, manifest)
    with np.load(io.BytesIO(plan.samples), allow_pickle=False) as arrays:
        example = arrays["inputs"][:1]
    inputs, outputs = inputs_and_outputs(model)
    with _silence():
        mlflow = _mlflow()
        mlflow.onnx.save_model(
            parsed(model),
            folder,
            signature=mlflow.models.ModelSignature(_schema(mlflow, inputs), _schema(mlflow, outputs)),
            input_example={inputs[0].name: example},
            pip_requirements=_requirements(manifest),
            onnx_execution_providers=["CPUExecutionProvider"],
            onnx_session_options={"intra_op_num_threads": manifest.execution.threads, "inter_op_num_threads": 1},
            metadata=properties(plan.artifact, manifest),
            save_as_external_data=False,
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Turn off MLflow's telemetry, log messages and warnings until the block ends."""
    level, previous = logging.root.manager.disable, {name: os.environ.get(name) for name in _NO_REPORTS}
    logging.disable(logging.WARNING)
    os.environ.update(_NO_REPORTS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        for name, value in previous.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _mlflow() -> Any:
    try:
        import mlflow.models
        import mlflow.onnx
        import mlflow.types
    except ModuleNotFoundError as error:
        raise RuntimeNotAvailable(
            f"--format mlflow needs MLflow, but {error.name} is not installed: pip install 'pareto-explorer[mlflow]'"
        ) from error
    return mlflow


def _schema(mlflow: Any, tensors: Sequence[Tensor]) -> Any:
    return mlflow.types.Schema(
        [
            mlflow.types.TensorSpec(
                np.dtype(tensor.dtype), tuple(-1 if length is None else length for length in tensor.shape), tensor.name
            )
            for tensor in tensors
        ]
    )


def _requirements(manifest: Manifest) -> list[str]:
    """Return the requirements: the runtime in the measured versions, everything else as installed here."""
    here = {name: version(name) for name in ("mlflow-skinny", "numpy", "onnx", "onnxruntime", "pandas")}
    return [f"{name}=={number}" for name, number in sorted({**here, **manifest.execution.packages}.items())]
