"""Aggregators, against what they compute by hand."""
