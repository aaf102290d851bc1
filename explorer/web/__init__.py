"""The web core of both servers: addresses, connections, security, responses, and the thread that serves."""
