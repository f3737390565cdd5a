"""What stands between strangers and the service: keys, rates, turns, time, and other sites."""
