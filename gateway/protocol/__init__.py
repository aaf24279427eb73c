"""The contract between the host and a protocol plugin: a pure relay, events in, effects out."""
