"""Search among vectors, and storage of everything that is computed from a collection.

Only this package uses FAISS. It never imports `models`, `indexer` or `service`.
"""
