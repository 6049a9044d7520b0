"""Tests of federated programs."""
