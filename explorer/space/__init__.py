"""What may be chosen: the YAML file, checked, as frozen values."""
