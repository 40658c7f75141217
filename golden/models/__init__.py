"""Models that run on the golden arithmetic: forward passes in NumPy."""
