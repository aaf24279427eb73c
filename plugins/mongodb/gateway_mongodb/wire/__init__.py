"""The MongoDB wire protocol as pure functions of bytes."""
