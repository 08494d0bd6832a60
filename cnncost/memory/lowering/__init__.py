"""From layers to the TensorFlow ops that Keras's layers run, one rule per layer kind.

Checked against Keras 3.15 with TensorFlow 2.21; every module names the source of what it emits.
"""

from cnncost.memory.lowering.base import CHECKED_AGAINST, Lowered, Step
from cnncost.memory.lowering.model import NotSimulated, lower
from cnncost.memory.lowering.registry import supported

__all__ = ["CHECKED_AGAINST", "Lowered", "NotSimulated", "Step", "lower", "supported"]
