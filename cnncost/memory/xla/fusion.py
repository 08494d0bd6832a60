"""Which instructions XLA computes inside their consumers (instruction_fusion.cc, cpu_instruction_fusion.cc).

Consumers are visited from the last to the first. A producer goes into its consumer, computed anew there even where
others read it too, unless it is a library call, costs much and has other readers, or would be computed too often.
Producers of several full operands are kept as buffers of their own unless every path from them can be fused.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from cnncost.memory.spec import Dims
from cnncost.memory.xla.hlo import BLOCKS, MOVING, Hlo

MOST_COPIES = 15  # FusionNodeIndexingEvaluation::kAllowedCodeDuplication
MOST_JOINED = 8  # operands of a concatenation that fuses
WIDEST_JOIN = 128  # of the last axis, from which a concatenation along it stands alone
MOST_REDUCTIONS = 5
_SQUEEZED = frozenset(("broadcast", "dot"))  # what reads operands without their axes of one
DEEPEST = 200  # instructions in a chain that is looked at as one; a kernel holds fewer


class Kernel:
    """What runs as one: an instruction that is not fused, and all it computes inside itself."""

    __slots__ = ("content", "inputs", "root")

    def __init__(self, root: Hlo) -> None:
        self.root = root
        self.content: dict[int, Hlo] = {root.index: root}
        self.inputs: list[Hlo] = []


def fuse(program: list[Hlo], wanted: Iterable[Hlo]) -> list[Kernel]:
    """The kernels in topological order. ``program``: live instructions in topological order; ``wanted``: those whose
    value leaves the step, which are never fused away."""
    return _Fusion(program, wanted).run()


def connect(program: list[Hlo]) -> None:
    """Fill in each instruction's readers, each reader once."""
    for hlo in program:
        hlo.users = []
    for hlo in program:
        for value in dict.fromkeys(hlo.inputs):
            value.users.append(hlo)


class _Fusion:
    def __init__(self, program: list[Hlo], wanted: Iterable[Hlo]) -> None:
        self.program = program
        self.wanted = {hlo.index for hlo in wanted}
        self.homes: dict[int, list[Kernel]] = {}  # the kernels that compute an instruction
        self.done: dict[int, bool] = {}  # visited as a consumer: is it a kernel of its own
        self.own = _unfusible(program, self.wanted)

    def run(self) -> list[Kernel]:
        kernels = []
        for hlo in reversed(self.program):
            alive = hlo.index in self.wanted or any(
                hlo.index not in kernel.content for user in hlo.users for kernel in self.homes.get(user.index, ())
            )
            self.done[hlo.index] = alive
            if alive:
                kernels.append(self.grow(hlo))
        kernels.reverse()
        return kernels

    def grow(self, root: Hlo) -> Kernel:
        kernel = Kernel(root)
        self.homes.setdefault(root.index, []).append(kernel)
        if not root.fusible or root.opcode == "parameter":
            kernel.inputs = list(dict.fromkeys(root.inputs))
            return kernel
        times = {root.index: 1}  # how often the kernel computes an instruction
        indexing: dict[int, frozenset[int]] = {root.index: frozenset((-1,))}
        times[-1] = 1
        reused = _reused(root)  # operands of the kernel that it reads several times over
        queue = [-value.index for value in dict.fromkeys(root.inputs)]
        by_index = {value.index: value for value in root.inputs}
        queue.sort()
        reductions = int(root.opcode == "reduce")
        seen = set(by_index)
        operands = dict(by_index)  # in the fusion's order: those of what is taken in come last
        while queue:
            producer = by_index[-heappop(queue)]
            readers = [user for user in producer.users if user.index in kernel.content]
            where = _indexing(producer, readers, indexing)
            if not self.fits(producer, readers, kernel, reused, where, times, reductions):
                continue
            del operands[producer.index]
            reused |= {value.index for value in producer.inputs} if producer.index in reused else _reused(producer)
            kernel.content[producer.index] = producer
            self.homes.setdefault(producer.index, []).append(kernel)
            indexing[producer.index] = where
            times[producer.index] = sum(times[index] for index in where)
            reductions += producer.opcode == "reduce"
            for value in producer.inputs:
                operands.setdefault(value.index, value)
                if value.index not in seen:
                    seen.add(value.index)
                    by_index[value.index] = value
                    heappush(queue, -value.index)
        kernel.inputs = list(operands.values())
        return kernel

    def fits(
        self, producer: Hlo, readers: list[Hlo], kernel: Kernel, reused: set[int], where: frozenset[int],
        times: dict[int, int], reductions: int,
    ) -> bool:  # fmt: skip
        if not producer.fusible or producer.index in self.own or producer.index in self.wanted:
            return False
        root, single = kernel.root, len(kernel.content) == 1
        if _joins(producer) or (single and _joins(root)):
            return False
        if producer.expensive and (producer.index in reused or self.others(producer, kernel)):
            return False
        if single and root.opcode != "transpose":  # which is the copy of a transpose: already a kernel of two
            return True
        if producer.opcode == "reduce" and reductions > MOST_REDUCTIONS:
            return False
        if producer.opcode == "broadcast":
            return True
        copies = sum(times[index] for index in where)
        if copies > MOST_COPIES:
            return False
        return producer.opcode not in BLOCKS or (
            copies <= 1 and len(readers) <= 1 and not self.others(producer, kernel)
        )

    def others(self, producer: Hlo, kernel: Kernel) -> bool:
        """Whether anyone but this kernel still reads the producer as it is: another kernel, or an instruction not yet
        visited that stands since one of its own readers has not taken it in."""
        waiting = []
        for user in producer.users:
            for home in self.homes.get(user.index, ()):
                if home is not kernel and producer.index not in home.content:
                    return True
            if user.index not in self.done:
                waiting.append(user)
        seen: set[int] = set()
        while waiting:
            hlo = waiting.pop()
            if hlo.index in seen:
                continue
            seen.add(hlo.index)
            if hlo.index in self.wanted:
                return True
            for user in hlo.users:
                if any(hlo.index not in home.content for home in self.homes.get(user.index, ())):
                    return True
                if user.index not in self.done:
                    waiting.append(user)
        return False


def _indexing(producer: Hlo, readers: list[Hlo], indexing: dict[int, frozenset[int]]) -> frozenset[int]:
    """Who decides at which place the producer is read: a reader of the same shape passes its own index on."""
    if len(readers) == 1:
        reader = readers[0]
        if reader.shape == producer.shape or reader.opcode == "transpose":
            return indexing[reader.index]
        return frozenset((reader.index,))
    found: set[int] = set()
    for reader in readers:
        if reader.shape == producer.shape or reader.opcode == "transpose":
            found |= indexing[reader.index]
        else:
            found.add(reader.index)
    return frozenset(found)


def _reused(hlo: Hlo) -> set[int]:
    """Operands that an instruction alone reads several times over (HloInstruction::ReusesOperandElements). In a kernel
    what reads an operand so hands that on to what is taken in, one by one (UpdateReusedOperandsForFusion): that two
    ways through the kernel read a value in different orders does not count."""
    if hlo.elementwise:
        return set()
    if hlo.opcode not in MOVING:
        return {value.index for value in hlo.inputs}
    return {value.index for value in hlo.inputs if hlo.inputs.count(value) > 1}


def _joins(hlo: Hlo) -> bool:
    """A concatenation that stands alone, whoever reads it and whatever it reads: one of many operands, or one along the
    last axis that makes it wide (is_minor_dim_concatenate)."""
    if hlo.opcode != "concatenate":
        return False
    if len(hlo.inputs) > MOST_JOINED:
        return True
    wide = len(hlo.shape) > 1 and hlo.shape[-1] >= WIDEST_JOIN
    return wide and any(value.shape[-1] != hlo.shape[-1] for value in hlo.inputs)


def _unary(hlo: Hlo) -> bool:
    """EffectivelyAtMostUnary: at most one operand of the output's rank that is not a broadcast."""
    rank = len(hlo.shape)
    full = 0
    for value in hlo.inputs:
        if value.opcode not in ("broadcast", "iota") and len(value.shape) >= rank:
            full += 1
            if full > 1:
                return False
    return True


def _by_a_view(producer: Hlo, consumer: Hlo) -> bool:
    """Whether a broadcast reads another shape of what is repeated: one without axes of one. That view is an instruction
    between the two, which reads nothing twice, and the only reader where all others take the same."""
    viewed = consumer.opcode == "broadcast" and all(user.opcode in _SQUEEZED for user in producer.users)
    return viewed and 1 in _computed(producer)


def _computed(hlo: Hlo) -> Dims:
    """The shape in which XLA computes a value: what is done value by value to a view is done before the view is taken
    (ReshapeMover), so that a mean that keeps its axis is scaled without it."""
    while hlo.elementwise:
        full = [value for value in hlo.inputs if value.opcode != "broadcast"]
        if len(full) != 1:
            return hlo.shape
        hlo = full[0]
    return hlo.inputs[0].shape if hlo.opcode == "reshape" else hlo.shape


def _unfusible(program: list[Hlo], wanted: set[int]) -> set[int]:
    """ComputeGloballyUnfusible: producers whose duplication would read more, unless all paths fuse."""
    place = {hlo.index: number for number, hlo in enumerate(program)}
    below: list[int] = [0] * len(program)  # bit sets: what each instruction depends on
    for number, hlo in enumerate(program):
        bits = 1 << number
        for value in hlo.inputs:
            bits |= below[place[value.index]]
        below[number] = bits
    own: set[int] = set()
    known: dict[tuple[int, int], bool] = {}

    def edge(consumer: Hlo, producer: Hlo) -> bool:
        """ShouldFuse between two plain instructions."""
        if not producer.fusible or producer.index in wanted or not consumer.fusible:
            return False
        if _joins(producer) or _joins(consumer):
            return False
        reuse = not consumer.elementwise and consumer.opcode not in MOVING
        return not producer.expensive or not (reuse or len(producer.users) > 1) or _by_a_view(producer, consumer)

    def paths(producer: Hlo, consumer: Hlo, depth: int = 0) -> bool:
        if consumer is producer:
            return True
        if not consumer.fusible or depth > DEEPEST:
            return False
        key = (producer.index, consumer.index)
        found = known.get(key)
        if found is None:
            bit = 1 << place[producer.index]
            found = all(
                value.index not in own and edge(consumer, value) and paths(producer, value, depth + 1)
                for value in dict.fromkeys(consumer.inputs)
                if below[place[value.index]] & bit
            )
            known[key] = found
        return found

    for producer in reversed(program):
        if _unary(producer):
            continue
        if sum(value.elements for value in dict.fromkeys(producer.inputs)) <= producer.elements:
            continue
        if not producer.fusible or not all(paths(producer, user) for user in producer.users):
            own.add(producer.index)
    return own
