"""The variables an optimizer keeps, as Keras 3.15 creates them on TensorFlow 2.21: names, shapes and dtypes, in order.

Every optimizer has an iteration counter (int64) and a learning rate in Keras's ``floatx``; slots follow their weight's
shape and dtype.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from cnncost.errors import CnncostError, nearest, printable
from cnncost.tensor import DTYPES, product


class StateVariable(NamedTuple):
    """A weight or a slot: its path in Keras's spelling, its shape and its dtype's name.

    >>> StateVariable("conv/kernel", (7, 7, 3, 64), "float32").bytes
    37632
    """

    path: str
    shape: tuple[int, ...] = ()
    dtype: str = "float32"

    @property
    def bytes(self) -> int:
        return (product(self.shape) or 0) * DTYPES[self.dtype].bytes


class Optimizer(NamedTuple):
    """An optimizer with the options that change its variables or its update ops; the defaults are Keras's."""

    kind: str = "sgd"
    momentum: float = 0.0  # sgd, rmsprop
    nesterov: bool = False
    amsgrad: bool = False  # adam, adamw
    centered: bool = False  # rmsprop
    weight_decay: bool = False
    use_ema: bool = False
    accumulation: int = 0  # gradient_accumulation_steps
    between: bool = False  # the step at hand only adds its gradients to those of the steps before it
    loss_scaling: bool = False  # wrapped in LossScaleOptimizer, as Keras does under mixed_float16
    floatx: str = "float32"


OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType(
    {
        "sgd": Optimizer("sgd"),
        "momentum": Optimizer("sgd", momentum=0.9),
        "nesterov": Optimizer("sgd", momentum=0.9, nesterov=True),
        "adamw": Optimizer("adamw", weight_decay=True),
    }
    | {
        name: Optimizer(name)
        for name in ("rmsprop", "adagrad", "adadelta", "adam", "adamax", "nadam", "lion", "ftrl", "adafactor")
    }
)


def optimizer(name: str) -> Optimizer:
    """The optimizer that ``--optimizer NAME`` means.

    >>> optimizer("nesterov").momentum
    0.9
    """
    found = OPTIMIZERS.get(str(name).lower())
    if found is None:
        raise CnncostError(
            f"unknown optimizer '{printable(name)}'",
            rule=f"an optimizer is one of {', '.join(sorted(OPTIMIZERS))}",
            nearest=nearest(str(name), OPTIMIZERS),
        )
    return found


def slots(choice: Optimizer, trainable: Sequence[StateVariable]) -> tuple[StateVariable, ...]:
    """All variables of the optimizer for these trainable weights, in the order of Keras's ``optimizer.variables``.

    Adam keeps two slots a weight, and its two scalars:

    >>> weights = (StateVariable("c/kernel", (3, 3, 3, 4)), StateVariable("c/bias", (4,)))
    >>> sum(v.bytes for v in slots(OPTIMIZERS["adam"], weights))
    908
    >>> [v.path for v in slots(OPTIMIZERS["momentum"], weights)][2:]
    ['sgd/c_kernel_momentum', 'sgd/c_bias_momentum']
    """
    own = _scalars(_PATHS.get(choice.kind, choice.kind), choice.floatx)
    if choice.loss_scaling:
        wrapper = _scalars("loss_scale_optimizer", choice.floatx)
        step = StateVariable("loss_scale_optimizer/step_counter", (), "int64")
        own = [*wrapper, step, StateVariable("loss_scale_optimizer/dynamic_scale"), *own]
    for names in _base_slots(choice):
        own += _per_weight(choice, trainable, names)
    return (*own, *_SLOTS[choice.kind](choice, trainable))


def slot_bytes(choice: Optimizer, trainable: Sequence[StateVariable]) -> int:
    """Bytes of all the optimizer's variables."""
    return sum(variable.bytes for variable in slots(choice, trainable))


def with_loss_scaling(choice: Optimizer, policies: Container[str]) -> Optimizer:
    """Keras's ``compile`` scales the loss where a layer computes under mixed_float16, and only then."""
    return choice._replace(loss_scaling=True) if "mixed_float16" in policies else choice


def _scalars(path: str, floatx: str) -> list[StateVariable]:
    return [StateVariable(f"{path}/iteration", (), "int64"), StateVariable(f"{path}/learning_rate", (), floatx)]


def _base_slots(choice: Optimizer) -> list[list[str]]:
    """What any optimizer may keep: the averaged weights, then the gradients that are being accumulated."""
    return [["average"]] * choice.use_ema + [["gradient_accumulator"]] * (choice.accumulation > 0)


def _per_weight(choice: Optimizer, trainable: Sequence[StateVariable], names: Sequence[str]) -> list[StateVariable]:
    path = _PATHS.get(choice.kind, choice.kind)
    return [
        StateVariable(f"{path}/{weight.path.replace('/', '_')}_{name}", weight.shape, weight.dtype)
        for weight in trainable
        for name in names
    ]


Slots = Callable[[Optimizer, Sequence[StateVariable]], list[StateVariable]]


def _always(*groups: tuple[str, ...]) -> Slots:
    """Each group goes once through all weights, its names side by side."""
    return lambda choice, trainable: [v for names in groups for v in _per_weight(choice, trainable, names)]


def _sgd(choice: Optimizer, trainable: Sequence[StateVariable]) -> list[StateVariable]:
    return _per_weight(choice, trainable, ("momentum",)) if choice.momentum else []


def _rmsprop(choice: Optimizer, trainable: Sequence[StateVariable]) -> list[StateVariable]:
    kept = ["velocity"] + ["momentum"] * (choice.momentum > 0) + ["average_gradient"] * choice.centered
    return [v for name in kept for v in _per_weight(choice, trainable, (name,))]


def _adam(choice: Optimizer, trainable: Sequence[StateVariable]) -> list[StateVariable]:
    hats = _per_weight(choice, trainable, ("velocity_hat",)) if choice.amsgrad else []
    return _per_weight(choice, trainable, ("momentum", "velocity")) + hats


def _nadam(choice: Optimizer, trainable: Sequence[StateVariable]) -> list[StateVariable]:
    """Adam's two, and the running product of its momentum schedule, in the first weight's dtype."""
    product_ = StateVariable("variable", (), trainable[0].dtype if trainable else choice.floatx)
    return [*_per_weight(choice, trainable, ("momentum", "velocity")), product_]


def _adafactor(choice: Optimizer, trainable: Sequence[StateVariable]) -> list[StateVariable]:
    """Row and column means over the last two axes; weights of fewer axes get two int32 scalars that nothing reads.
    The full second moment is kept besides, so Keras's Adafactor saves no memory against RMSprop."""
    kept: list[StateVariable] = []
    for weight in trainable:
        name = weight.path.rsplit("/", 1)[-1]
        if len(weight.shape) < 2:
            kept += [StateVariable(name, (), "int32")] * 2
        else:
            rows, columns = weight.shape[:-1], (*weight.shape[:-2], weight.shape[-1])
            kept += [StateVariable(f"adafactor/{name}", shape, weight.dtype) for shape in (rows, columns)]
        kept += _per_weight(choice, (weight,), ("velocity",))
    return kept


_PATHS = {"rmsprop": "rm_sprop", "adamw": "adam_w"}
_SLOTS: Mapping[str, Slots] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adagrad": _always(("accumulator",)),
    "adadelta": _always(("accumulated_grad", "accumulated_delta_var")),
    "adam": _adam,
    "adamw": _adam,
    "adamax": _always(("momentum", "norm")),
    "nadam": _nadam,
    "lion": _always(("momentum",)),
    "ftrl": _always(("accumulator", "linear")),
    "adafactor": _adafactor,
}
