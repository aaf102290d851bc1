"""How it is varied: width, pruning, recovery, exits; Variant -> plain network."""
