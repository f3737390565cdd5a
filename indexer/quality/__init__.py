"""Quality of an encoder for a collection: altered copies, labels, reconstruction, drift."""
