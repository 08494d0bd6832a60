"""Loops, lists of tensors and what moves along them. A list shares its elements' buffers (list_kernels.cc)."""

from __future__ import annotations

from cnncost.memory.optypes.base import FIRST, OpType, given

_MOVING = ("Enter", "Merge", "Switch", "NextIteration", "Exit", "_Element")
SILENT = ("_Done", "_Release", "_KeptSteps")  # no ops: an iteration ends, a list is let go, steps left out keep
_LISTS = ("TensorListGetItem", "TensorListSetItem", "TensorListPushBack", "TensorListPopBack")
ROWS = (
    OpType("While", given),  # stands for its iterations until they are laid out
    *(OpType(name, given, expensive=False, shares=FIRST) for name in _MOVING),
    OpType("_SliceView", given, shares=FIRST),  # a StridedSlice along the first axis, aligned
    OpType("_SplitView", given, shares=FIRST),  # a Split along the first axis, aligned
    OpType("_UnpackView", given, shares=FIRST),  # an Unpack of aligned elements
    OpType("LoopCond", given, expensive=False),
    *(OpType(name, given, shares=FIRST) for name in _LISTS),
    OpType("TensorListFromTensor", given),  # every element is copied
    OpType("TensorListStack", given),
    OpType("_PlainTranspose", given),  # of truth values: not oneDNN's
    *(OpType(name, given) for name in ("TensorListReserve", "EmptyTensorList", "VariableShape", "_PutZeros")),
    OpType("_Dead", given, expensive=False),  # what is passed by in an iteration that does not run it
    *(OpType(name, given, expensive=False) for name in SILENT),
    OpType("_ListZeros", given, expensive=False),  # ZerosLike of a list; it ran at once in captured steps
    OpType("_ListAdd", given),  # AddN of two lists, at the one place where both have an element
)
