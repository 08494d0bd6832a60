"""The words that choose how a step runs, declared once for the command line, specs, budgets and the simulation."""

from __future__ import annotations

MODES = ("inference", "training")
EXECUTORS = ("graph", "xla", "eager")  # a ``tf.function``, compiled by XLA, or op by op
ALLOCATORS = ("requested", "bfc")  # bytes as they are asked for, or in the allocator's chunks
OPTIMIZERS = (
    "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adadelta", "adam", "adamw", "adamax", "nadam", "lion", "ftrl",
    "adafactor",
)  # fmt: skip
