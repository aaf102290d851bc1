"""What is varied: the slimmable early-exit network, its training, its weights."""
