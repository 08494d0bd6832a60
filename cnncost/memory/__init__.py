"""What TensorFlow keeps alive while a model runs: a small symbolic TensorFlow, fed with the graph alone."""
