"""Federated computations written in Python. For now the room of the `fedelta` command."""
