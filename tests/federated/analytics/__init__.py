"""Tests of federated analytics."""
