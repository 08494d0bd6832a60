"""What the memory simulation knows of each TensorFlow op type, one row per type.

>>> infer("AddV2", [Spec((4, 7, 7, 8), "float32"), Spec((8,), "float32")], {})
(Spec(shape=(4, 7, 7, 8), dtype='float32'),)
>>> op_type("Reshape").shares, op_type("Relu").forwards, op_type("Conv2D").expensive
('first', (0,), True)
"""

from cnncost.memory.optypes.base import EACH, FIRST, OpType, infer, op_type
from cnncost.memory.spec import Spec

__all__ = ["EACH", "FIRST", "OpType", "Spec", "infer", "op_type"]
