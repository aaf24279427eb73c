"""Load tests: the same users on a database directly and through a gateway, and administrators on the admin API."""
