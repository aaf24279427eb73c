"""What gateways decide by: the store at one revision, as a signed document. Built, kept, announced, restored."""
