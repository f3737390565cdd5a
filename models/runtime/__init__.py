"""Running tflite files, and keeping the C libraries behind them quiet."""
