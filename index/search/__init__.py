"""Exact search among vectors: stores, top-k table, queries, filters, ranking, duplicates."""
