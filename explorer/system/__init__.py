"""This machine: files, hashes, environment, worker processes, cores, signals, terminal, network addresses."""
