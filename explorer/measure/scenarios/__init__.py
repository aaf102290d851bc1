"""Scenarios: how load arrives at a network while it is measured."""
