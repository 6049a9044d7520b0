"""The `fedelta` command."""
