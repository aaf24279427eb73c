"""Built-in guardrails: plugins that decide about sessions and statements."""
