"""The child of a real run: the only place that imports TensorFlow, JAX or PyTorch to measure."""
