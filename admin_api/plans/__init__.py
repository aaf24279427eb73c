"""The store changed as a whole: documents from files compared with it, and applied in one transaction."""
