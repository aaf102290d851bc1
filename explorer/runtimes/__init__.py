"""How it is executed: network -> artifact on disk -> executable. eager, onnxruntime, ..."""
