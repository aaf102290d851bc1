"""The builder process: materialize, prune, recover, count, export."""
