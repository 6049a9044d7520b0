"""Learning processes, against what they compute by hand."""
