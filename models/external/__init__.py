"""Encoders that were not trained here: tflite files and keras.applications networks."""
