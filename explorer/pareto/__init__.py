"""The mathematics: front, hypervolume, knee, membership. NumPy and moocore only."""
