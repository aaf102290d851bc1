"""The live dashboard: a web server in a thread of the coordinator, which only reads."""
