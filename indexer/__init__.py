"""The offline half: from a folder of pictures to a published snapshot. `python -m indexer --help`.

It may import `models` and `index`, never `service`: the two halves meet in a snapshot on disk.
"""
