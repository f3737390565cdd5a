"""Exact search over vectors: the stores, the top-k table, the order of results, duplicates."""
