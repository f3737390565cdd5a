"""The pictures of a folder as records: what changed, was removed, and their metadata."""
