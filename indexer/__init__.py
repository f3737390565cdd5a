"""The offline part: from a folder of pictures to a published snapshot. `python -m indexer --help`.

It may import `models` and `index`, but never `service`. The indexer and the service exchange data
only through snapshots on disk.
"""
