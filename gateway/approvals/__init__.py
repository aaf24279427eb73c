"""Approvals: what waits for a human, who may decide, and what a decision is good for.

``rules`` says who may decide and when enough have; ``desk`` keeps the requests and is the only place in which their
state changes; ``store`` keeps them over a restart; ``binding`` says what exactly is approved.
"""
