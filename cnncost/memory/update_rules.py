"""The rule of each optimizer for one weight, as Keras 3.15's ``update_step`` runs it on TensorFlow 2.21."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cnncost.memory.opgraph import Value, Variable
from cnncost.memory.spec import Spec
from cnncost.memory.update_ops import Updates


def _sgd(u: Updates, weight: Variable, grad: Value) -> None:
    rate = u.rate()
    if not u.choice.momentum:
        u.assign(weight, u.mul(grad, rate), "Sub")
        return
    slot = u.slot(weight, "momentum")
    u.assign(slot, u.sub(u.mul(u.read(slot), 0.9), u.mul(grad, rate)))
    if u.choice.nesterov:
        u.assign(weight, u.sub(u.mul(u.read(slot), 0.9), u.mul(grad, rate)), "Add")
    else:
        u.assign(weight, u.read(slot), "Add")


def _rmsprop(u: Updates, weight: Variable, grad: Value) -> None:
    rate, velocity = u.rate(), u.slot(weight, "velocity")
    u.assign(velocity, u.add(u.mul(0.9, u.read(velocity)), u.mul(0.1, u.square(grad))))
    if u.choice.centered:
        average = u.slot(weight, "average_gradient")
        u.assign(average, u.add(u.mul(0.9, u.read(average)), u.mul(0.1, grad)))
        squared = u.square(u.read(average))
        denominator = u.add(u.sub(u.read(velocity), squared), 1e-7)
    else:
        denominator = u.add(u.read(velocity), 1e-7)
    increment = u.div(u.mul(rate, grad), u.sqrt(denominator))
    if u.choice.momentum:
        momentum = u.slot(weight, "momentum")
        u.assign(momentum, u.add(u.mul(0.9, u.read(momentum)), increment))
        increment = u.read(momentum)
    u.assign(weight, increment, "Sub")


def _adagrad(u: Updates, weight: Variable, grad: Value) -> None:
    rate, accumulator = u.rate(), u.slot(weight, "accumulator")
    u.assign(accumulator, u.square(grad), "Add")
    scaled = u.mul(rate, grad)
    u.assign(weight, u.div(scaled, u.sqrt(u.add(u.read(accumulator), 1e-7))), "Sub")


def _adadelta(u: Updates, weight: Variable, grad: Value) -> None:
    rate, grads, deltas = u.rate(), u.slot(weight, "accumulated_grad"), u.slot(weight, "accumulated_delta_var")
    u.assign(grads, u.add(u.mul(0.95, u.read(grads)), u.mul(0.05, u.square(grad))))
    scaled = u.mul(u.sqrt(u.add(u.read(deltas), 1e-7)), grad)
    delta = u.op("Neg", u.div(scaled, u.sqrt(u.add(u.read(grads), 1e-7))))
    u.assign(deltas, u.add(u.mul(0.95, u.read(deltas)), u.mul(0.05, u.square(delta))))
    u.assign(weight, u.mul(rate, delta), "Add")


def _moments(u: Updates, weight: Variable, grad: Value) -> tuple[Variable, Variable]:
    """Adam's two running averages, each moved by a fraction of its distance."""
    first, second = u.slot(weight, "momentum"), u.slot(weight, "velocity")
    u.assign(first, u.mul(u.sub(grad, u.read(first)), 0.1), "Add")
    u.assign(second, u.mul(u.sub(u.square(grad), u.read(second)), 0.001), "Add")
    return first, second


def _adam(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step = u.rate(), u.step()
    power_1, power_2 = u.op("Pow", 0.9, step), u.op("Pow", 0.999, step)
    alpha = u.div(u.mul(rate, u.sqrt(u.sub(1.0, power_2))), u.sub(1.0, power_1))
    first, second = _moments(u, weight, grad)
    if u.choice.amsgrad:
        hat = u.slot(weight, "velocity_hat")
        u.assign(hat, u.op("Maximum", u.read(hat), u.read(second)))
        second = hat
    scaled = u.mul(u.read(first), alpha)
    u.assign(weight, u.div(scaled, u.add(u.sqrt(u.read(second)), 1e-7)), "Sub")


def _adamax(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step = u.rate(), u.step()
    power = u.op("Pow", 0.9, step)
    first, norm = u.slot(weight, "momentum"), u.slot(weight, "norm")
    u.assign(first, u.mul(u.sub(grad, u.read(first)), 0.1), "Add")
    u.assign(norm, u.op("Maximum", u.mul(0.999, u.read(norm)), u.op("Abs", grad)))
    scaled = u.mul(rate, u.read(first))
    u.assign(weight, u.div(scaled, u.mul(u.sub(1.0, power), u.add(u.read(norm), 1e-7))), "Sub")


def momentum_schedule(u: Updates, first: Variable) -> None:
    """Nadam's running product, once a step."""
    u.dtype = first.spec.dtype
    product = u.graph.variable("variable", Spec((), u.dtype), trainable=False)
    scaled = u.mul(u.read(product), 0.9)
    power = u.op("Pow", 0.96, u.step())
    u.assign(product, u.mul(scaled, u.sub(1.0, u.mul(0.5, power))))


def _nadam(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step, next_step = u.rate(), u.step(), u.step(2)
    now = u.mul(0.9, u.sub(1.0, u.mul(0.5, u.op("Pow", 0.96, step))))
    then = u.mul(0.9, u.sub(1.0, u.mul(0.5, u.op("Pow", 0.96, next_step))))
    product = u.cast(u.read(u.graph.variables["variable"]))
    product_then = u.mul(product, then)
    power = u.op("Pow", 0.999, step)
    first, second = _moments(u, weight, grad)
    old = u.div(u.mul(then, u.read(first)), u.sub(1.0, product_then))
    new = u.div(u.mul(u.sub(1.0, now), grad), u.sub(1.0, product))
    mean = u.add(old, new)
    spread = u.div(u.read(second), u.sub(1.0, power))
    u.assign(weight, u.div(u.mul(mean, rate), u.add(u.sqrt(spread), 1e-7)), "Sub")


def _lion(u: Updates, weight: Variable, grad: Value) -> None:
    rate, slot = u.rate(), u.slot(weight, "momentum")
    mixed = u.add(u.mul(u.read(slot), 0.9), u.mul(grad, 0.1))
    u.assign(weight, u.mul(rate, u.op("Sign", mixed)), "Sub")
    u.assign(slot, u.add(u.mul(u.read(slot), 0.99), u.mul(grad, 0.01)))


def _ftrl(u: Updates, weight: Variable, grad: Value) -> None:
    rate, sums, linear = u.rate(), u.slot(weight, "accumulator"), u.slot(weight, "linear")
    penalty = u.add(0.0, u.div(0.0, u.mul(2.0, rate)))
    used = u.add(grad, u.mul(0.0, u.read(weight)))
    total = u.add(u.read(sums), u.square(grad))
    growth = u.sub(u.op("Pow", total, 0.5), u.op("Pow", u.read(sums), 0.5))
    u.assign(linear, u.sub(used, u.mul(u.div(growth, rate), u.read(weight))), "Add")
    quadratic = u.add(u.div(u.op("Pow", total, 0.5), rate), u.mul(2.0, penalty))
    clipped = u.op("Maximum", u.op("Minimum", u.read(linear), 0.0), 0.0)
    u.assign(weight, u.div(u.sub(clipped, u.read(linear)), quadratic))
    u.assign(sums, total)


def _adafactor(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step = u.rate(), u.step()
    inverse = u.div(1.0, u.sqrt(step))
    rate = u.op("Minimum", rate, inverse)
    ratio = u.op("Minimum", rate, u.div(1.0, u.sqrt(step)))
    alpha = u.mul(u.op("Maximum", 1e-3, u.rms(u.read(weight))), ratio)
    squares = u.add(u.square(grad), 1e-30)
    beta = u.sub(1.0, u.op("Pow", step, -0.8))
    velocity = u.slot(weight, "velocity")
    if len(weight.spec.shape) >= 2:
        _factors(u, weight, velocity, squares, beta)
    else:
        u.assign(velocity, u.add(u.mul(beta, u.read(velocity)), u.mul(u.sub(1.0, beta), squares)))
    scaled = u.div(grad, u.sqrt(u.read(velocity)))
    clipped = u.div(scaled, u.op("Maximum", 1.0, u.div(u.rms(scaled), 1.0)))
    u.assign(weight, u.mul(alpha, clipped), "Sub")


def _factors(u: Updates, weight: Variable, velocity: Variable, squares: Value, beta: Value) -> None:
    """Row and column means, and the second moment as their product over the rows' mean."""
    shape, dtype = weight.spec.shape, weight.spec.dtype
    shapes = {"row": shape[:-1], "column": (*shape[:-2], shape[-1])}
    parts = {name: u.graph.variable(f"{weight.name}_{name}", Spec(dims, dtype), False) for name, dims in shapes.items()}
    for name, axis in (("row", -1), ("column", -2)):
        part = parts[name]
        kept = u.mul(beta, u.read(part))
        u.assign(part, u.add(kept, u.mul(u.sub(1.0, beta), u.mean(squares, axis))))
    rows = u.read(parts["row"])
    share = u.div(rows, u.mean(u.read(parts["row"]), -1, keepdims=True))
    wide = u.graph.add("ExpandDims", (share,), shape=(*shape[:-1], 1))
    columns = u.graph.add("ExpandDims", (u.read(parts["column"]),), shape=(*shape[:-2], 1, shape[-1]))
    u.assign(velocity, u.graph.add("Mul", (wide, columns), (Spec(shape, dtype),)))


Rule = Callable[[Updates, Variable, Value], None]
RULES: Mapping[str, Rule] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adam": _adam,
    "adamw": _adam,
    "adamax": _adamax,
    "nadam": _nadam,
    "lion": _lion,
    "ftrl": _ftrl,
    "adafactor": _adafactor,
}
