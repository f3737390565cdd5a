"""Vectors to neighbours, and everything that is stored about a collection.

The only package that knows FAISS. It never imports `models`, `indexer` or `service`.
"""
