"""From real weights and activations to codes and scales."""
