"""The bit-exact golden model: formats, exact arithmetic and quantizers, in NumPy alone."""
