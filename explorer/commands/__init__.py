"""The commands: one module each, called by explorer/cli.py."""
