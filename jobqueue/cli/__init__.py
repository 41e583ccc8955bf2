"""The `jobqueue` command."""
