"""The tests; `golden` holds documents that several packages read."""
