"""Hiding values: the built-in masking functions, the plan for a result, and the guard for statements under a mask."""
