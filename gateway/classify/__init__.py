"""Proposes labels for columns from their names, types and some of their values. Nothing here applies a label."""
