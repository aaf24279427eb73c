"""Corpora of commands for MongoDB: what must not leave, and what must come as it is."""
