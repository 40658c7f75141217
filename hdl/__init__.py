"""Amaranth components: MAC, dot product, processing element and weight-stationary tile."""
