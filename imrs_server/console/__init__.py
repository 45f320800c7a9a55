"""The HTTP process: a client of the public API like any other."""
