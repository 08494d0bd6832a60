"""Real runs in a child process: what a model's layers, memory and time are when Keras runs it.

Nothing here imports TensorFlow but ``measure.worker``, which is the child.
"""

from __future__ import annotations

from cnncost.measure.child import LackOfMemory, run
from cnncost.measure.records import Change, Job, Measurement, RealLayer
from cnncost.measure.repeat import run_often

__all__ = ["Change", "Job", "LackOfMemory", "Measurement", "RealLayer", "run", "run_often"]
