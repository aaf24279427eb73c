"""Tokens for agents that act for people (RFC 8693)."""
