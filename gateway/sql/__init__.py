"""SQL analysis shared by the SQL protocols: facts, lineage, catalog, statement templates."""
