"""The command line as a client of an admin API: logging in, tokens, connecting, and the store as files."""
