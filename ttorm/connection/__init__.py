"""Connections: URL to transport, credentials, cache, and the two drivers of flows."""
