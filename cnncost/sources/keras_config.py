"""Keras model configs, as Keras 2 and Keras 3 write them, become a Graph. Nothing that a config names is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cnncost.errors import CnncostError, UnsupportedLayer, printable
from cnncost.findings import WARNING, Finding
from cnncost.graph import MAX_LAYERS, Graph, Layer, Ref
from cnncost.kinds.base import Kind
from cnncost.kinds.config import dtype_name, kind_from_config
from cnncost.sources.keras_calls import Call, TensorRef, tensors
from cnncost.sources.keras_layers import class_of, inputs_of, is_operation, kind_of
from cnncost.sources.keras_network import Broken, Data, Network, Step, config_of, is_input, is_model, read_network
from cnncost.sources.places import NOWHERE, Origin
from cnncost.tensor import policy

MAX_NESTING = 40  # models in models
_CALLED_WITH = ("return_attention_scores", "use_causal_mask", "reverse")  # what a call decides of its layer
Outputs = list[Ref]


def read_config(
    config: Mapping[str, Any], source: str = "dict", *, origin: Origin = NOWHERE, version: str = ""
) -> Graph:
    """The graph of a serialized model, ``{"class_name": …, "config": …}``.

    Places in errors point into ``origin``; ``version`` is the Keras that wrote the config, where known.
    Raises CnncostError, with the layer named and its place.

    >>> dense = {"class_name": "Dense", "config": {"name": "d", "units": 2, "batch_input_shape": [None, 8]}}
    >>> graph = read_config({"class_name": "Sequential", "config": {"name": "net", "layers": [dense]}})
    >>> [layer.name for layer in graph.layers]
    ['d_input', 'd']
    """
    try:
        _refuse_what_is_no_model(config)
        return _Reader(dialect_of(config, version), origin).read(config, source)
    except Broken as error:
        raise error.at(origin.place(error.layer)) from None
    except CnncostError as error:
        raise error.at(origin.place()) from None


def dialect_of(config: Mapping[str, Any], version: str = "") -> str:
    """``keras2`` or ``keras3``: by the version that the file states, else by how its layers are written."""
    version = version or str(config.get("keras_version") or "")
    if version[:2] in ("1.", "2.", "3."):
        return "keras3" if version[0] == "3" else "keras2"
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner
    for data in layers[:50] if isinstance(layers, list) else []:
        own = data.get("config") if isinstance(data, Mapping) else None
        if isinstance(own, Mapping) and "batch_input_shape" in own:
            return "keras2"
        calls = data.get("inbound_nodes") if isinstance(data, Mapping) else None
        if isinstance(calls, list) and calls:
            return "keras3" if isinstance(calls[0], Mapping) and "args" in calls[0] else "keras2"
    return "keras3" if "module" in config or "registered_name" in config else "keras2"


def _refuse_what_is_no_model(config: Any) -> None:
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise CnncostError(
            "this is no Keras model", rule="a model is {class_name: NAME, config: {layers: […], …}}",
            received=printable(list(config)) if isinstance(config, Mapping) else printable(config),
        )  # fmt: skip
    if is_model(dict(config)):
        return
    name = printable(config["class_name"])
    if name in ("Sequential", "Functional", "Model"):
        raise CnncostError(f"this {name} model has no layers", received=printable(config.get("config")))
    raise UnsupportedLayer(
        f"the config of the model class '{name}' holds no graph of layers",
        rule="a subclassed model keeps its layers in Python code: only Sequential and Functional models have a graph",
        nearest="rebuild it with keras.Input and keras.Model(inputs, outputs), and save that",
    )


class _Reader:
    """Flattens models in models into one list of layers. One instance reads one file."""

    def __init__(self, dialect: str, origin: Origin) -> None:
        self.dialect, self.origin = dialect, origin
        self.layers: list[Layer] = []
        self.names: Counter[str] = Counter()
        self.first: dict[Any, int] = {}  # a layer's identity → the row of its first call
        self.kinds: dict[Any, Kind] = {}
        self.networks: dict[int, tuple[Data, Network]] = {}
        self.findings: list[Finding] = []
        self.steps = 0

    def read(self, config: Mapping[str, Any], source: str) -> Graph:
        data = dict(config)
        network = self.network(data)
        outputs = self.run(network, None, _Scope(trainable=self.trains(config_of(data), None)))
        common = self.common_dtype()
        return Graph(
            name=network.name,
            layers=tuple(replace(y, dtype=None) if y.dtype == common else y for y in self.layers),
            outputs=tuple(outputs),
            source=source,
            dtype=common,
            location=self.origin.place(),
            findings=tuple(self.findings),
            dialect=self.dialect,
        )

    def common_dtype(self) -> str:
        """The policy of most layers, inputs aside."""
        found = Counter(y.dtype for y in self.layers if y.dtype and y.inputs)
        return found.most_common(1)[0][0] if found else "float32"

    def network(self, data: Data) -> Network:
        """The model that ``data`` holds, read once however often it is called."""
        if id(data) not in self.networks:
            self.networks[id(data)] = (data, read_network(data))  # keeps data alive, so that its id stays its own
        return self.networks[id(data)][1]

    # -- models ----------------------------------------------------------------------------------------------------

    def run(self, network: Network, arguments: list[Ref] | None, scope: _Scope) -> Outputs:
        """All steps of a model, called on ``arguments``; the top model's inputs are layers of their own."""
        if scope.depth > MAX_NESTING:
            raise Broken(f"models are nested more than {MAX_NESTING} deep", network.name)
        inputs = list(tensors(network.inputs))
        known: dict[tuple[str, int], Outputs] = {}
        if arguments is not None:
            if len(arguments) != len(inputs):
                raise Broken("the model is called on another number of tensors than it has inputs", scope.layer,
                             rule=f"it has {len(inputs)}", received=f"{len(arguments)} tensors")  # fmt: skip
            known = {(ref.layer, 0): [own] for ref, own in zip(inputs, arguments, strict=True)}

        def find(ref: TensorRef) -> Ref:
            outputs = known[ref.layer, ref.node]
            if isinstance(outputs, _Leaf):
                return Ref(outputs[0].layer, ref.tensor)
            if ref.tensor >= len(outputs):
                raise Broken(f"output {ref.tensor} is read of a model with {len(outputs)}", ref.layer)
            return outputs[ref.tensor]

        for step in network.steps:
            self.steps += 1
            if self.steps > 2 * MAX_LAYERS:
                raise Broken("models that call models expand to too many layers", step.name,
                             rule=f"at most {MAX_LAYERS:,}")  # fmt: skip
            if (step.name, step.number) not in known:
                if arguments is not None and is_input(step.data):
                    continue  # an input that nothing reads
                known[step.name, step.number] = self.step(step, find, scope)
        return [find(ref) for ref in tensors(network.outputs)]

    def step(self, step: Step, find: Any, scope: _Scope) -> Outputs:
        """One call of a layer or of a nested model."""
        config = config_of(step.data, step.name)
        inner = config.get("layer") if step.data["class_name"] == "TimeDistributed" else None
        if is_model(step.data) or is_model(inner):
            nested = step.data if is_model(step.data) else inner
            assert isinstance(nested, dict)
            network = self.network(nested)
            below = scope.inside(
                step, self.trains(config, step.name) and self.trains(config_of(nested, step.name), step.name),
                wrapped=nested is inner,
            )  # fmt: skip
            return self.run(network, [find(ref) for ref in _arguments(step.call, network)], below)
        return self.leaf(step, config, [find(ref) for ref in inputs_of(step.data, step.call)], scope)

    # -- layers ----------------------------------------------------------------------------------------------------

    def leaf(self, step: Step, config: Data, refs: list[Ref], scope: _Scope) -> Outputs:
        identity = (scope.identity, step.name)
        kind = self.kind(step, config, scope, identity)
        where = self.origin.place(step.name)
        shares = self.first.get(identity) if step.number or scope.again else None
        if is_operation(step.data):
            shares = None
        self.layers.append(
            Layer(
                name=self.fresh(scope.path + step.name),
                kind=kind,
                inputs=tuple(refs),
                trainable=scope.trainable and self.trains(config, step.name),
                dtype=None if is_operation(step.data) else self.dtype(config, step.name),
                shares=shares,
                location=where,
            )
        )
        row = len(self.layers) - 1
        self.first.setdefault(identity, row)
        return _Leaf([Ref(row)])

    def kind(self, step: Step, config: Data, scope: _Scope, identity: Any) -> Kind:
        """The layer's kind; read once for all calls that pass the same options."""
        called = tuple(bool(step.call.kwargs.get(name)) for name in _CALLED_WITH)
        key = None if is_operation(step.data) else (identity, called)
        if key in self.kinds:
            return self.kinds[key]
        name = step.name
        try:
            if scope.wrapped:
                kind, ignored = kind_from_config("TimeDistributed", {"layer": step.data}, self.dialect)
            else:
                kind, ignored = kind_of(step.data, config, step.call, self.dialect)
        except RecursionError:
            raise Broken("its arguments are nested too deeply", name) from None
        except CnncostError as error:
            raise self.named(error, scope.path + name, name) from None
        if key is not None:
            self.kinds[key] = kind
        if ignored:
            keys = ", ".join(f"'{printable(k)}'" for k in sorted(ignored)[:10])
            self.findings.append(
                Finding(WARNING, f"unknown arguments of {class_of(step.data)} were ignored: {keys}", name,
                        self.origin.place(name))
            )  # fmt: skip
        return kind

    def named(self, error: CnncostError, path: str, name: str) -> CnncostError:
        error.problem = f"layer '{printable(path)}': {error.problem}"
        return error.at(self.origin.place(name))

    def fresh(self, name: str) -> str:
        """``conv``, then ``conv:2`` for the second call of that name."""
        self.names[name] += 1
        while self.names[name] > 1:
            other = f"{name}:{self.names[name]}"
            if not self.names[other]:
                self.names[other] = 1
                return other
            self.names[name] += 1
        return name

    def trains(self, config: Mapping[str, Any], layer: str | None) -> bool:
        """The ``trainable`` flag; a wrapper trains only if the layer inside does."""
        flag = config.get("trainable")
        if flag is not None and not isinstance(flag, bool) and flag not in (0, 1):
            raise Broken("a wrong value of trainable", layer, rule="it must be true or false", received=printable(flag))
        inner = config.get("layer")
        if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping) and not is_model(inner):
            return flag not in (False, 0) and inner["config"].get("trainable") is not False
        return flag not in (False, 0)

    def dtype(self, config: Data, layer: str) -> str | None:
        """The name of the layer's dtype policy; None where the file does not say."""
        written = config.get("dtype")
        name = dtype_name(written)
        if isinstance(written, Mapping) and "Quantized" in str(written.get("class_name")):
            raise self.named(UnsupportedLayer("a quantized layer", rule="its weights have another form"), layer, layer)
        if name is None or (isinstance(name, str) and name.startswith("_infer")):
            return None
        if not isinstance(name, str):
            raise Broken("a wrong dtype", layer, rule="it is a name or a policy", received=printable(written))
        try:
            return policy(name).name
        except CnncostError as error:
            raise self.named(error, layer, layer) from None


class _Leaf(Outputs):
    """The outputs of a layer, whose number only the walk knows."""


class _Scope:
    """Where in the nesting of models a layer stands."""

    def __init__(
        self, path: str = "", identity: Any = (), trainable: bool = True, again: bool = False, wrapped: bool = False,
        depth: int = 0, layer: str | None = None,
    ) -> None:  # fmt: skip
        self.path, self.identity, self.trainable = path, identity, trainable
        self.again, self.wrapped, self.depth, self.layer = again, wrapped, depth, layer

    def inside(self, step: Step, trainable: bool, wrapped: bool) -> _Scope:
        call = f":{step.number + 1}" if step.number else ""
        return _Scope(
            f"{self.path}{step.name}{call}/", (self.identity, step.name), self.trainable and trainable,
            self.again or step.number > 0, self.wrapped or wrapped, self.depth + 1, step.name,
        )  # fmt: skip


def _arguments(call: Call, network: Network) -> list[TensorRef]:
    """The tensors that a nested model is called on, in the order of its inputs."""
    given = call.args[0] if call.args else call.kwargs.get("inputs")
    if isinstance(given, dict):
        inputs = network.inputs
        named = inputs if isinstance(inputs, dict) else {ref.layer: ref for ref in tensors(inputs)}
        if set(named) == set(given):
            order = sorted(named) if isinstance(inputs, dict) else list(named)
            return [ref for key in order for ref in tensors(given[key])]
    return list(tensors(given))
