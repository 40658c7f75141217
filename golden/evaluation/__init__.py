"""What quantization does to a model, measured."""
