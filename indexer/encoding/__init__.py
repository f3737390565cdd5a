"""Which encoder a collection uses, and the vectors that it makes."""
