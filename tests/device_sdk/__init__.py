"""Tests of the device's agent, against orchestrators that live in memory or on the loopback."""
