"""The worker process: connections, shared folder, memory, metrics, health checks, log."""
