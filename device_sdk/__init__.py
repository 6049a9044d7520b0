"""The agent on a device: pulls assignments, trains on local examples, sends updates; never examples."""
