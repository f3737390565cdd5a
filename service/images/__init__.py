"""Picture files: originals, decoding of uploads, regions, reconstructions and format names."""
