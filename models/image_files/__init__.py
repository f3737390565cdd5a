"""Picture files: their formats, limits on what decoding costs, and their colours."""
