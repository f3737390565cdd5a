"""External encoders, which were trained elsewhere: tflite files and keras.applications networks."""
