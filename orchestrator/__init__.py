"""The web service that hands out rounds, gathers reports, aggregates them and keeps every checkpoint."""
