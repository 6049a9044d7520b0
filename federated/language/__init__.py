"""The federated language: types, placements, computations."""
