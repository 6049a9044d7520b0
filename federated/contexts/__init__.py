"""Where a computation runs: here in plain steps, here as the plan that devices run, or on the devices of a fleet."""
