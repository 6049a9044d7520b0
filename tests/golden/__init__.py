"""Documents that several packages' tests read."""
