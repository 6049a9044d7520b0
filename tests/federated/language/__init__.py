"""Tests of the federated language."""
