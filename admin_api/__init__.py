"""The control plane's HTTP API and its store."""
