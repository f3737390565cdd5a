"""The pictures of a folder as records: changes, removals and metadata."""
