"""Groups, map and thumbnails of a snapshot: how they are stored and read."""
