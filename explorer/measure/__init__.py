"""Measuring: one probe process per measurement; latency, memory, accuracy, energy, cost."""
