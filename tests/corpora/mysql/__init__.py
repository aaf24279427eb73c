"""The corpora in MySQL's terms, on a real MariaDB. ``python -m tests.corpora --mysql`` prints both numbers."""
