"""The picture folder: which of its files are indexed, and how they are read."""
