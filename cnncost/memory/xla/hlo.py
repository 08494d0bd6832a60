"""The instructions that XLA compiles: a small HLO.

Scalar constants are no instructions here: XLA fuses them everywhere, so an operand that is a constant (of any shape,
all values equal) is ``None``. Shapes are plain tuples; ``elements`` is kept because every rule asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import SIZES, Dims, Spec
from cnncost.memory.xla.repeating import composed, kept_axes, squeezed

__all__ = ["Hlo", "Module", "Operand"]

# Opcodes by what a fusion asks of them (cpu_instruction_fusion.cc: CanBeLoopFused, IsExpensive).
MOVING = frozenset(("reshape", "transpose", "concatenate", "slice", "pad", "reverse", "reduce", "gather"))
EXPENSIVE = frozenset(
    ("divide", "exponential", "log", "power", "rsqrt", "sqrt", "tanh", "erf", "expm1", "log1p", "reduce", "gather")
)
F32, BF16 = "float32", "bfloat16"
HALVES = frozenset((BF16, "float16"))
# Fusing one of these ends the basic block (fusion_node_indexing_evaluation.cc: OpInvalidatesCache).
BLOCKS = frozenset(("concatenate", "pad", "reduce"))
# Opcodes that are wholly told by this many operands: without a constant among them, equals are one (HloCSE).
_PURE = dict.fromkeys(
    ("negate", "exponential", "log", "sqrt", "rsqrt", "tanh", "abs", "sign", "erf", "convert"), 1
) | dict.fromkeys(("add", "subtract", "multiply", "divide", "maximum", "minimum", "and", "or"), 2)
# What dividing by the first is: multiplying by the second, of the same operands (HandleDivide).
_INVERSE = {"power": "power", "exponential": "exponential", "sqrt": "rsqrt", "rsqrt": "sqrt"}


class Hlo:
    """One instruction. ``elementwise``: reads each operand at the output's own index. ``fusible``: a consumer may
    compute it anew inside itself. ``order``: its turn among what becomes ready at once. Compared by identity."""

    __slots__ = ("bytes", "dtype", "elements", "elementwise", "expensive", "fusible", "index", "inputs", "item", "op",
                 "opcode", "order", "shape", "users")  # fmt: skip

    def __init__(
        self, index: int, opcode: str, inputs: list[Hlo], shape: Dims, dtype: str, op: Op, elementwise: bool,
        fusible: bool,
    ) -> None:  # fmt: skip
        self.index = index
        self.opcode = opcode
        self.inputs = inputs
        self.shape = shape
        self.dtype = dtype
        self.item = SIZES[dtype]
        self.elements = prod(shape)
        self.bytes = self.elements * self.item
        self.op = op
        self.elementwise = elementwise
        self.fusible = fusible
        self.expensive = opcode in EXPENSIVE or (opcode == "convert" and dtype == BF16 and inputs[0].dtype == F32)
        self.order: float = index  # among the readers of one value
        self.users: list[Hlo] = []

    def __repr__(self) -> str:
        return f"{self.opcode}.{self.index}{list(self.shape)}({', '.join(str(i.index) for i in self.inputs)})"


Operand = Hlo | None


class Module:
    """Instructions in the order of creation, which is a topological order."""

    def __init__(self) -> None:
        self.all: list[Hlo] = []
        self.op: Op | None = None  # the TensorFlow op that is being translated
        self._broadcasts: dict[tuple[int, Dims, Dims | None], Hlo] = {}
        self.axes: dict[int, Dims | None] = {}  # of a broadcast's source, by the broadcast's index
        self._mapped: dict[tuple[str, tuple[int, ...], Spec], Hlo] = {}
        self._moved: dict[tuple[str, int, Dims, object], Hlo] = {}
        self._rounded: set[int] = set()
        self.asked: dict[int, list[Op]] = {}  # for what is moved once: the ops that asked for it
        self.turns: Mapping[int, int] = {}  # when the compiler makes an op's instructions, by the op's identity
        self.into: set[int] = set()  # scatters that took in a sum
        self.once: set[int] = set()  # values that only one op reads
        self.kept: list[Hlo] = []  # buffers of their own, whoever reads them
        self._zeros: dict[Spec, tuple[Hlo, list[tuple[Op, Hlo]]]] = {}
        self.slack = 0  # bytes of what loops carry, each of which the compiler may copy
        self.shared: dict[Any, Any] = {}  # what rules have made and may use again

    def add(
        self, opcode: str, inputs: Sequence[Hlo], shape: Dims, dtype: str, elementwise: bool = False,
        fusible: bool = False,
    ) -> Hlo:  # fmt: skip
        assert self.op is not None
        made = Hlo(
            len(self.all), opcode, list(inputs), shape, dtype, self.op, elementwise,
            fusible or elementwise or opcode in MOVING or opcode == "broadcast",
        )  # fmt: skip
        self.all.append(made)
        return made

    def opaque(self, opcode: str, inputs: Sequence[Operand], spec: Spec) -> Hlo:
        """A call of a library or a loop: reads and writes whole buffers."""
        read = [self.filled(value, spec) for value in inputs]
        return self.add(opcode, read, spec.shape, spec.dtype)

    def filled(self, value: Operand, like: Spec) -> Hlo:
        """A constant that must be a buffer: a broadcast without operands."""
        return value if value is not None else self.add("broadcast", (), like.shape, like.dtype)

    def map(self, opcode: str, inputs: Sequence[Operand], spec: Spec) -> Operand:
        """Value by value; operands of other shapes are broadcast. The processor computes nothing in bfloat16: operands
        are widened and the result is rounded (FloatNormalization)."""
        if opcode != "convert" and (spec.dtype == BF16 or any(v is not None and v.dtype == BF16 for v in inputs)):
            wide = [self.convert(value, F32) if value and value.dtype == BF16 else value for value in inputs]
            made = self.map(opcode, wide, Spec(spec.shape, F32) if spec.dtype == BF16 else spec)
            return self.rounded(made) if spec.dtype == BF16 else made
        read = [self.broadcast(value, spec.shape) for value in inputs if value is not None]
        if not read:
            return None
        if opcode == "divide" and len(inputs) == 2 and inputs[1] is None:
            opcode = "multiply"  # by the constant's reciprocal
        if opcode == "add" and len(read) == 2:
            for scattered, other in (reversed(read), read):
                if scattered.opcode == "scatter" and scattered.index in self.once:
                    return self.scattered(scattered, other, spec)
        if opcode == "divide" and len(read) == 2 and read[1].opcode in _INVERSE:
            return self.map("multiply", (read[0], self.inverse(read[1])), spec)
        if all(value.opcode == "broadcast" and value.inputs for value in read):
            made = self.sunk(opcode, read, spec)
            if made is not None:
                return made
        if len(read) < _PURE.get(opcode, 9) or len(read) < len(inputs):
            return self.add(opcode, read, spec.shape, spec.dtype, elementwise=True)
        key = (opcode, tuple(value.index for value in read), spec)
        found = self._mapped.get(key)
        if found is None:
            found = self._mapped[key] = self.add(opcode, read, spec.shape, spec.dtype, elementwise=True)
        return found

    def scattered(self, value: Hlo, other: Hlo, spec: Spec) -> Hlo:
        """What is added to a scatter that nobody else reads is what it scatters into (HandleAdd)."""
        base: Operand = value.inputs[0]
        if value.inputs[0].opcode == "zeros-copy":
            self._unused(value.inputs[0])
            base = other
        else:
            base = self.map("add", (base, other), spec)
        assert base is not None
        made = self.add("scatter", (base, *value.inputs[1:]), spec.shape, spec.dtype)
        self.once.add(made.index)
        self.into.add(made.index)
        return made

    def inverse(self, value: Hlo) -> Hlo:
        """One over a power or a root is another (HandleDivide); equal ones are one."""
        key = ("inverse", value.index)
        if key not in self.shared:
            spec = Spec(value.shape, value.dtype)
            read = value.inputs
            if value.opcode == "exponential":
                negated = self.map("negate", read, spec)
                assert negated is not None
                read = [negated]
            self.shared[key] = self.add(_INVERSE[value.opcode], read, *spec, elementwise=True)
        return self.shared[key]  # type: ignore[no-any-return]

    def convert(self, value: Operand, dtype: str, asked: bool = False) -> Operand:
        """To another dtype. What was widened is not narrowed again but taken as it was; and what was only rounded since
        the processor had computed it wide is taken wide where TensorFlow's own graph has asked for that (``asked``)."""
        if value is None or value.dtype == dtype:
            return value
        if value.opcode == "convert" and value.inputs[0].dtype == dtype:
            source = value.inputs[0]
            if source.item < value.item or (asked and value.index in self._rounded):
                return source
        return self.map("convert", (value,), Spec(value.shape, dtype))

    def rounded(self, value: Operand) -> Operand:
        """What was computed in float32, in bfloat16."""
        made = self.convert(value, BF16)
        if made is not None and made.opcode == "convert":
            self._rounded.add(made.index)
        return made

    def zeros(self, spec: Spec, user: Op) -> Hlo:
        """Zeros to write into. Equal ones are one instruction, of which every use is a copy, unless one op is the only
        one to use them (``settle``)."""
        if spec not in self._zeros:
            first = self.add("zeros", (), spec.shape, spec.dtype)
            first.fusible = False
            self._zeros[spec] = first, []
        first, uses = self._zeros[spec]
        made = self.add("zeros-copy", (first,), spec.shape, spec.dtype)
        uses.append((user, made))
        return made

    def _unused(self, made: Hlo) -> None:
        uses = self._zeros[Spec(made.shape, made.dtype)][1]
        uses[:] = [use for use in uses if use[1] is not made]

    def settle(self) -> None:
        """Zeros that one op alone uses are made where they are used."""
        for _, uses in self._zeros.values():
            if len({id(op) for op, _ in uses}) == 1:
                for _, made in uses:
                    made.opcode, made.inputs = "zeros", []

    def sunk(self, opcode: str, repeated: Sequence[Hlo], spec: Spec) -> Hlo | None:
        """Computed before it is repeated, where all operands are repeated alike but for scalars
        (TryToSinkBroadcastAfterOpWithUniqueNonScalarOperand)."""
        wide = [value for value in repeated if value.inputs[0].elements > 1] or list(repeated[:1])
        axes, first = self.axes.get(wide[0].index), wide[0].inputs[0]
        if len(repeated) == 1:
            made = self.add(opcode, (first,), first.shape, spec.dtype, elementwise=True)
            return self.repeated(made, spec.shape, axes)
        own = squeezed(first.shape)
        alike = all(self.axes.get(v.index) == axes and squeezed(v.inputs[0].shape) == own for v in wide)
        if not alike or axes is None or not own:
            return None
        total = self.map(opcode, [self.reshape(v.inputs[0], own if v in wide else ()) for v in repeated],
                         Spec(own, spec.dtype))  # fmt: skip
        return None if total is None else self.repeated(total, spec.shape, axes)

    def broadcast(self, value: Hlo, shape: Dims) -> Hlo:
        if value.shape == shape:
            return value
        source = value
        while source.opcode == "reshape" and source.inputs[0].elements == value.elements:
            source = source.inputs[0]  # a reshape before a broadcast only names axes
        inner = self.axes.get(source.index) if source.opcode == "broadcast" else None
        axes = composed(value.shape, shape, source.shape, inner, source.opcode == "broadcast")
        if source.opcode == "broadcast" and source.inputs:
            source = source.inputs[0]
        if source.elements == prod(shape):
            return self.reshape(value, shape)
        return self.repeated(source, shape, axes)

    def repeated(self, source: Hlo, shape: Dims, axes: Dims | None) -> Hlo:
        """``axes``: where those of the source lie that are not one; None where that is not known."""
        key = (source.index, shape, axes)
        found = self._broadcasts.get(key)
        if found is None:
            found = self._broadcasts[key] = self.add("broadcast", (source,), shape, source.dtype)
            self.axes[found.index] = axes
        return found

    def reshape(self, value: Hlo, shape: Dims) -> Hlo:
        if value.shape == shape:
            return value
        source = value.inputs[0] if value.opcode == "reshape" else value
        if source.shape == shape:
            return source
        axes = self.axes.get(source.index)
        kept = None if axes is None else kept_axes(axes, source.shape, shape)
        if kept is not None:  # a broadcast whose source's axes stay whole is one of another shape (HandleReshape)
            return self.repeated(source.inputs[0], shape, kept)
        return self.moved("reshape", source, shape, None)

    def transpose(self, value: Hlo, perm: Sequence[int]) -> Hlo:
        """A view where only axes of one move, else a copy in another order."""
        shape = tuple(value.shape[axis] for axis in perm)
        kept = [axis for axis in perm if value.shape[axis] != 1]
        if kept == sorted(kept):
            return self.reshape(value, shape)
        return self.moved("transpose", value, shape, tuple(perm))

    def reverse(self, value: Hlo) -> Hlo:
        """Along every axis of a window."""
        return self.moved("reverse", value, value.shape, None)

    def moved(self, opcode: str, value: Hlo, shape: Dims, how: object) -> Hlo:
        """The same values in another order; what was moved so before is not moved again."""
        key = (opcode, value.index, shape, how)
        found = self._moved.get(key)
        if found is None:
            found = self._moved[key] = self.add(opcode, (value,), shape, value.dtype)
        assert self.op is not None
        self.asked.setdefault(found.index, []).append(self.op)
        return found
