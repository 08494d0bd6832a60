"""The spec that ``cnncost init`` writes."""

from __future__ import annotations

import os


def schema_path() -> str:
    """The packaged JSON Schema, which editors complete and explain from."""
    import cnncost

    return os.path.join(os.path.dirname(os.path.abspath(cnncost.__file__)), "schema.json")


def starter() -> str:
    """A small model that shows the language: blocks, a skip connection, variables, claims."""
    return STARTER.replace("SCHEMA", schema_path())


STARTER = """\
# yaml-language-server: $schema=SCHEMA
# Analyze with: cnncost analyze FILE        The arithmetic of one layer: cnncost explain FILE stem
name: my-model
input: [224, 224, 3] # height, width, channels; no batch axis
variables: {width: 32, classes: 10} # change one with --set width=64
defaults:
  Conv2D: {padding: same}

blocks:
  conv_bn: # a block is a list of layers with parameters; null means that it must be given
    params: {filters: null, kernel: 3, stride: 1}
    layers:
      # Arguments as Keras names them, or by position in Keras's order.
      - Conv2D: {filters: $filters, kernel_size: $kernel, strides: $stride, use_bias: false}
      - BatchNormalization:
      - Activation: relu

layers:
  - Conv2D: [$width, 7, 2]
    name: stem
    expect: [112, 112, 32] # a claim: analyze says so, and exits with 1, when it does not hold
  - MaxPooling2D: [3, 2]
  - {conv_bn: {filters: $width}, name: first}
  - residual: # adds its input to its output
      - conv_bn: $width
      - conv_bn: $width
    name: skip
  - conv_bn: {filters: $(width * 2), stride: 2}
    repeat: 2
  - GlobalAveragePooling2D:
  - Dense: [$classes, softmax]

expect: {params: 89.2k}
"""
