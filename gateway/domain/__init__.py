"""Frozen values that every part of Querygate shares. Nothing here does I/O or knows a database."""
