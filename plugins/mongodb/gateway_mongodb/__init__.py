"""MongoDB as a protocol of the gateway."""
