"""Gateways on other machines: their credentials, what they ask, and what they tell about themselves."""
