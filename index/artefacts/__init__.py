"""The parts of a snapshot that are neither vectors nor catalogue: groups, map, thumbnails."""
