"""How to get to a resource."""
