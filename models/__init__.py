"""Pixels to vectors and back: the only package that knows TensorFlow and LiteRT."""
