"""How the updates of a round become one: an accumulator for each kind of aggregation, and one for a whole work."""
