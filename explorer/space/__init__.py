"""The search space: a YAML file, checked against the declared parameters and metrics, as frozen values."""
