"""Simulation: data, rounds, and a run that is taken up again."""
