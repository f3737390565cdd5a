"""`python -m indexer`."""

from models.runtime.machine_limits import limit_library_threads
from models.runtime.standard_streams import open_standard_streams

open_standard_streams()
limit_library_threads()

from indexer.cli import main  # noqa: E402 - loads numerical libraries
from models.runtime.memory import give_back_large_blocks  # noqa: E402

if __name__ == "__main__":
    give_back_large_blocks()
    main()
