"""How it is judged: one probe process per measurement; latency, memory, accuracy, energy, cost."""
