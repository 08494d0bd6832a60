"""Every column of every rendering, declared once: what it is called, where it comes from, how people read it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cnncost.analysis import Analysis, LayerCost
from cnncost.errors import CnncostError, nearest, printable
from cnncost.report.text import bytes_text, clean, count_text, exact, shape_text, shapes_text


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a layer. A column that ``sums`` has a total: ``Totals.<key>``, or the layers' sum."""

    key: str
    title: str
    doc: str
    get: Callable[[LayerCost], Any]
    people: Callable[[Any], str] = clean
    brief: Callable[[Any], str] | None = None  # a shorter text where room is short
    unit: str = ""
    sums: bool = False
    share_of: str = ""  # a column of percentages of another column's total

    @property
    def right(self) -> bool:
        """Numbers stand at the right."""
        return self.sums or bool(self.share_of)

    def total(self, analysis: Analysis) -> Any:
        """The model's figure."""
        known = getattr(analysis.totals, self.key, None)
        return self.of(analysis.layers) if known is None else known

    def of(self, layers: Sequence[LayerCost]) -> Any:
        """The value of a row of one or several layers: the sum, or the last layer's."""
        if self.sums:
            return sum(self.get(layer) for layer in layers)
        return self.get(layers[-1])


def _axes(values: Sequence[Any] | None) -> str:
    return "×".join("?" if v is None else f"{v:g}" for v in values) if values else ""


def _pairs(windows: Sequence[Any]) -> str:
    return " ".join(f"{w.before if w.before is not None else '?'}+{w.after if w.after is not None else '?'}"
                    for w in windows if w.before or w.after)  # fmt: skip


SHORT_WORDS = (
    ("Normalization", "Norm"), ("Pooling", "Pool"), ("Average", "Avg"), ("Transpose", "Transp"), ("Activation", "Act"),
    ("Depthwise", "Dw"), ("Separable", "Sep"), ("Concatenate", "Concat"), ("Attention", "Attn"), ("Global", "Gl"),
    ("Adaptive", "Ada"),
)  # fmt: skip


def brief_kind(kind: str) -> str:
    """
    >>> brief_kind("BatchNormalization"), brief_kind("GlobalAveragePooling2D"), brief_kind("Conv2D")
    ('BatchNorm', 'GlAvgPool2D', 'Conv2D')
    """
    for long, short in SHORT_WORDS:
        if kind != "Activation":
            kind = kind.replace(long, short)
    return kind


COLUMNS: tuple[Column, ...] = (
    Column("name", "Layer", "the layer's name; blocks and nested models as a path", lambda r: r.name),
    Column("kind", "Kind", "the layer's class", lambda r: r.kind, brief=lambda k: brief_kind(clean(k))),
    Column("inputs", "Inputs", "the layers it reads", lambda r: r.inputs, lambda v: clean(", ".join(v))),
    Column("input_shape", "Input", "shapes it reads, without the batch axis", lambda r: r.input_shapes,
           lambda v: ", ".join(shape_text(s) for s in v[:4]) + (f" … ({len(v)} inputs)" if len(v) > 4 else "")),
    Column("output_shape", "Output", "shape of its output, without the batch axis", lambda r: r.outputs, shapes_text),
    Column("params", "Params", "scalars of all its weights", lambda r: r.params, exact, count_text, sums=True),
    Column("params_share", "%", "share of the model's params", lambda r: r.params, exact, share_of="params"),
    Column("trainable_params", "Trainable", "scalars of the weights that training updates",
           lambda r: r.trainable_params, exact, count_text, sums=True),
    Column("macs", "MACs", "multiplications of the weighted sums, per instance", lambda r: r.macs, exact, count_text,
           sums=True),
    Column("macs_share", "%", "share of the model's multiplications", lambda r: r.macs, exact, share_of="macs"),
    Column("training_macs", "Training MACs", "multiplications of one training step, per instance",
           lambda r: r.training_macs, exact, count_text, sums=True),
    Column("flops", "FLOPs", "floating-point operations, per instance: 2·macs and the other arithmetic",
           lambda r: r.flops, exact, count_text, sums=True),
    Column("flops_share", "%", "share of the model's floating-point operations", lambda r: r.flops, exact,
           share_of="flops"),
    Column("activation_bytes", "Activations", "bytes of its outputs for the whole batch", lambda r: r.activation_bytes,
           bytes_text, unit="B", sums=True),
    Column("activation_share", "%", "share of the model's activation bytes", lambda r: r.activation_bytes, bytes_text,
           share_of="activation_bytes"),
    Column("weight_bytes", "Weights", "bytes of its weights in their storage dtype", lambda r: r.weight_bytes,
           bytes_text, unit="B", sums=True),
    Column("peak_bytes", "At peak", "bytes that its buffers add to the simulated peak of the mode",
           lambda r: r.peak_bytes or 0, bytes_text, unit="B", sums=True),
    Column("receptive_field", "Receptive field", "what one output neuron sees of the model's input",
           lambda r: r.receptive_field, _axes),
    Column("jump", "Jump", "input positions between neighbouring neurons (the strides' product)", lambda r: r.jump,
           _axes),
    Column("start", "Start", "input position where the first neuron's receptive field begins", lambda r: r.start,
           lambda v: ",".join("?" if x is None else str(x) for x in v) if v else ""),
    Column("padding", "Padding", "positions added before+after, for each axis", lambda r: r.windows, _pairs),
    Column("ignored", "Ignored", "positions at the end of each axis that no window reaches",
           lambda r: r.windows,
           lambda v: ",".join("?" if w.ignored is None else str(w.ignored) for w in v) if any(w.ignored for w in v)
           else ""),
    Column("dtype", "Dtype", "dtype of its output", lambda r: r.outputs[0].dtype.name),
    Column("notes", "Notes", "remarks", lambda r: r.notes, lambda v: clean("; ".join(v))),
)  # fmt: skip
BY_KEY = {column.key: column for column in COLUMNS}
ALIASES = {
    "layer": "name", "output": "output_shape", "input": "input_shape", "activations": "activation_bytes",
    "activations_share": "activation_share", "weights": "weight_bytes", "sees": "receptive_field",
    "trainable": "trainable_params", "peak": "peak_bytes",
}  # fmt: skip


def chosen(text: str) -> tuple[str, ...]:
    """The keys of a ``--columns`` list. Raises CnncostError naming the nearest on a typo.

    >>> chosen("name,macs")
    ('name', 'macs')
    """
    keys = tuple(dict.fromkeys(column(key.strip()).key for key in text.split(",") if key.strip()))
    if not keys:
        raise CnncostError("no columns", rule=f"choose from {', '.join(BY_KEY)}")
    return keys


def column(key: str) -> Column:
    """A column by key or alias. Raises CnncostError naming the nearest."""
    key = ALIASES.get(key, key)
    if key not in BY_KEY:
        raise CnncostError(
            f"unknown column '{printable(key)}'", rule=f"the columns are {', '.join(BY_KEY)}",
            nearest=nearest(key, [*BY_KEY, *ALIASES]),
        )  # fmt: skip
    return BY_KEY[key]


def describe() -> str:
    """The columns and their meaning, for ``--columns help``."""
    width = max(map(len, BY_KEY))
    aliases = ", ".join(f"{short} = {key}" for short, key in ALIASES.items())
    return "".join(f"{c.key:<{width}}  {c.doc}\n" for c in COLUMNS) + f"\nshort names: {aliases}\n"
