"""The demo: a real PostgreSQL with a small shop, a gateway in front of it, and a story told by real sessions."""
