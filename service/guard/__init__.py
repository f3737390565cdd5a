"""What protects the service: keys, rate limits, slots, deadlines, body limits, browser rules."""
