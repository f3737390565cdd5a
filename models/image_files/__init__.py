"""Picture files: their formats, what decoding one may take, and the colours it gives."""
