"""The gradient of each TensorFlow op type, as TensorFlow 2.21's registered gradient emits it (math_grad.py, nn_grad.py,
array_grad.py, image_grad.py), one row per type."""

from cnncost.memory.gradients.base import Gradient, gradient_of

__all__ = ["Gradient", "gradient_of"]
