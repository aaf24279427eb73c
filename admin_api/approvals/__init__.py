"""What waits for people: looking at it, deciding, and asking for access."""
