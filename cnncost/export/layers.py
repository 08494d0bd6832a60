"""Keras layers for the kinds that Keras lacks. Importing this module registers them, so that Keras can load a file
that ``cnncost export`` wrote: ``import cnncost.export.layers`` before ``keras.models.load_model``."""

# mypy: disable-error-code="misc, no-untyped-call"
from __future__ import annotations

from typing import Any

import keras
from keras import ops

from cnncost.kinds.base import Kind
from cnncost.kinds.historic import LENET5_TABLE
from cnncost.kinds.registry import lookup

register = keras.saving.register_keras_serializable(package="cnncost")


class _Counted(keras.layers.Layer):
    """A layer whose output shape is its kind's own answer."""

    def kind(self) -> Kind:
        """This layer as a kind of cnncost."""
        cls = lookup(type(self).__name__)
        return cls.build({name: getattr(self, name) for name in cls.arguments() if hasattr(self, name)})

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        return (input_shape[0], *self.kind().output((tuple(input_shape[1:]),)))


@register
class LocalResponseNormalization(_Counted):
    """y[d] = x[d] / (bias + alpha · Σ x[d - r … d + r]²)^beta along the last axis."""

    def __init__(
        self, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.depth_radius, self.bias, self.alpha, self.beta = depth_radius, bias, alpha, beta

    def call(self, inputs: Any) -> Any:
        # Squares summed over a window along the maps: shifted views of a padded tensor, added.
        radius, channels = self.depth_radius, inputs.shape[-1]
        pads = [[0, 0]] * (len(inputs.shape) - 1) + [[radius, radius]]
        squares = ops.pad(ops.square(inputs), pads)
        total = sum(squares[..., i : i + channels] for i in range(2 * radius + 1))
        return inputs / ops.power(self.bias + self.alpha * total, self.beta)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("depth_radius", "bias", "alpha", "beta")}
        return {**super().get_config(), **own}


def _axis(data_format: str | None) -> int:
    return 1 if data_format == "channels_first" else -1


def _per_map(values: Any, data_format: str | None) -> Any:
    """One value per map in a shape that broadcasts over rows and columns."""
    return ops.reshape(values, (1, -1, 1, 1)) if data_format == "channels_first" else values


@register
class TrainableAveragePooling2D(_Counted):
    """activation(coefficient · mean of the window + bias), one coefficient and one bias per map (LeNet-5, 1998)."""

    def __init__(
        self, pool_size: Any = 2, strides: Any = None, padding: str = "valid", data_format: str | None = None,
        activation: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.pool_size, self.strides, self.padding, self.data_format = pool_size, strides, padding, data_format
        self.activation = activation
        self._function = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        maps = (input_shape[_axis(self.data_format)],)
        self.coefficient = self.add_weight(name="coefficient", shape=maps, initializer="ones")
        self.bias = self.add_weight(name="bias", shape=maps, initializer="zeros")

    def call(self, inputs: Any) -> Any:
        means = ops.average_pool(inputs, _pair(self.pool_size), _pair(self.strides or self.pool_size), self.padding,
                                 self.data_format)  # fmt: skip
        scaled = _per_map(self.coefficient, self.data_format) * means + _per_map(self.bias, self.data_format)
        return self._function(scaled)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("pool_size", "strides", "padding", "data_format", "activation")}
        return {**super().get_config(), **own}


def _pair(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value, value)


@register
class TableConv2D(_Counted):
    """A convolution whose output maps see only the input maps that ``table`` lists: one filter for each such pair."""

    def __init__(
        self, table: Any, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None,
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
        kernel_constraint: Any = None, bias_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.table = [list(row) for row in (LENET5_TABLE if table == "lenet5" else table)]
        self.kernel_size, self.strides, self.padding, self.data_format = kernel_size, strides, padding, data_format
        self.activation, self.use_bias = activation, use_bias
        self._function = keras.activations.get(activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)

    def build(self, input_shape: Any) -> None:
        pairs = sum(len(row) for row in self.table)
        self.kernel = self.add_weight(
            name="kernel", shape=(*_pair(self.kernel_size), pairs), initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
        )  # fmt: skip
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias", shape=(len(self.table),), initializer=self.bias_initializer,
                regularizer=self.bias_regularizer, constraint=self.bias_constraint,
            )  # fmt: skip
        # Which place of a full kernel (input map, output map) each pair fills.
        channels = input_shape[_axis(self.data_format)]
        self._places = [[seen * len(self.table) + own] for own, row in enumerate(self.table) for seen in row]
        self._full = (channels, len(self.table))

    def call(self, inputs: Any) -> Any:
        flat = ops.reshape(self.kernel, (-1, len(self._places)))
        full = ops.scatter(ops.convert_to_tensor(self._places, "int32"), ops.transpose(flat),
                           (self._full[0] * self._full[1], flat.shape[0]))  # fmt: skip
        kernel = ops.reshape(ops.transpose(full), (*_pair(self.kernel_size), *self._full))
        sums = ops.conv(inputs, kernel, _pair(self.strides), self.padding, self.data_format)
        return self._function(sums + _per_map(self.bias, self.data_format) if self.use_bias else sums)

    def get_config(self) -> dict[str, Any]:
        plain = ("table", "kernel_size", "strides", "padding", "data_format", "activation", "use_bias")
        own = {name: getattr(self, name) for name in plain}
        for module, names in (
            (keras.initializers, ("kernel_initializer", "bias_initializer")),
            (keras.regularizers, ("kernel_regularizer", "bias_regularizer")),
            (keras.constraints, ("kernel_constraint", "bias_constraint")),
        ):
            own |= {name: module.serialize(getattr(self, name)) for name in names}
        return {**super().get_config(), **own}


@register
class RBF(_Counted):
    """y[i] = Σ (x[j] - w[i, j])²: each unit's squared Euclidean distance to its own vector (LeNet-5, 1998)."""

    def __init__(
        self, units: int, trainable_centers: bool = False, centers_initializer: Any = "random_normal",
        centers_regularizer: Any = None, centers_constraint: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.units, self.trainable_centers = units, trainable_centers
        self.centers_initializer = keras.initializers.get(centers_initializer)
        self.centers_regularizer = keras.regularizers.get(centers_regularizer)
        self.centers_constraint = keras.constraints.get(centers_constraint)

    def build(self, input_shape: Any) -> None:
        self.centers = self.add_weight(
            name="centers", shape=(self.units, input_shape[-1]), initializer=self.centers_initializer,
            regularizer=self.centers_regularizer, constraint=self.centers_constraint, trainable=self.trainable_centers,
        )  # fmt: skip

    def call(self, inputs: Any) -> Any:
        return ops.sum(ops.square(ops.expand_dims(inputs, -2) - self.centers), axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {
            "units": self.units, "trainable_centers": self.trainable_centers,
            "centers_initializer": keras.initializers.serialize(self.centers_initializer),
            "centers_regularizer": keras.regularizers.serialize(self.centers_regularizer),
            "centers_constraint": keras.constraints.serialize(self.centers_constraint),
        }  # fmt: skip
        return {**super().get_config(), **own}
