"""What a worker process does for itself: connections, shared memory, metrics, health, log."""
