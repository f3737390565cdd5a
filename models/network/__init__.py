"""The building blocks of the deep network, and every number that it is made of."""
