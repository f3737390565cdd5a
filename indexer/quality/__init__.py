"""How good an encoder is for a collection: altered copies, labels, fit, drift."""
