"""Op types that only a training step has: random masks; optimizers' and gradients' own may be added here."""

from __future__ import annotations

from cnncost.memory.optypes.base import OpType, given

ROWS: tuple[OpType, ...] = (
    OpType("RandomUniform", given),
    OpType("RandomStandardNormal", given),
    OpType("StatelessRandomUniformV2", given),
    OpType("StatelessRandomNormalV2", given),
    OpType("StatelessRandomGetKeyCounter", given, expensive=False),
)
