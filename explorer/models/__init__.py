"""Models: the slimmable early-exit family, its training, shipped weights, and a user's own network."""
