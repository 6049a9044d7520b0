"""Whole federations of real processes: what a user would run, killed where it hurts."""
