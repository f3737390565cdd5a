"""The map: a position in the plane for each picture."""
