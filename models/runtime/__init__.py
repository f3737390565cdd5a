"""Running tflite files and threads, and keeping the C libraries quiet."""
