"""Tables, the one writer, and every query by name."""
