"""Export formats: bundle, ONNX file, Triton model repository, MLflow model."""
