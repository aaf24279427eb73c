"""Who acts, and what proves it: access tokens, bearer tokens, upstream credentials. Start at ``docs/identity.md``."""
