"""What a picture file may ask of its decoder: limits that are checked before decoding."""
