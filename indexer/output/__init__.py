"""Output for other tools: exported files, and lists of duplicates."""
