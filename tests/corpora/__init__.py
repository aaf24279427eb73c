"""Two corpora, run against a real server through a real gateway.

``attacks``: statements that try to get labelled values out; not one may. ``ordinary``: what reports, drivers and tools
send; what is not labelled must come as it comes without a gateway. ``python -m tests.corpora`` prints both numbers.
"""
