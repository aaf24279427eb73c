"""Finding plugins, checking them, and calling their hooks."""
