"""The only network I/O: listeners, sessions, connections to databases."""
