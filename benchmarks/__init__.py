"""What the gateway costs, against a direct connection and against PgBouncer, on the same machine in the same run.

Run ``python -m benchmarks --help``. ``docs/performance.md`` says how to read the figures.
"""
