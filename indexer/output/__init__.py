"""What leaves the indexer for other tools: exported files and lists."""
