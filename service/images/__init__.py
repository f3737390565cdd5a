"""Picture files: originals, uploads being decoded, regions, reconstructions."""
