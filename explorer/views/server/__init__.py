"""The live dashboard: a read-only web server in a thread of the coordinator."""
