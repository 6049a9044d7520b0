"""Tests of the orchestrator: its rules, its database and store, and whole rounds over HTTP on the loopback."""
