"""Who is connected, on all gateways, and how to end it."""
