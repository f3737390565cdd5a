"""The encoder of a collection, and the vectors that it computes."""
