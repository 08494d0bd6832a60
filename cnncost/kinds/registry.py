"""Which module defines which kind. A family's module is imported when one of its kinds is first asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from cnncost.errors import UnsupportedLayer, nearest, printable
from cnncost.kinds.base import Kind

FAMILIES: dict[str, tuple[str, ...]] = {
    "core": ("InputLayer", "Dense"),
    "cells": ("SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells"),
    "recurrent": ("RNN", "SimpleRNN", "LSTM", "GRU"),
    "conv_lstm": ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    "einsum": ("EinsumDense",),
    "embedding": ("Embedding", "ReversibleEmbedding"),
    "attention": ("Attention", "AdditiveAttention"),
    "multihead": ("MultiHeadAttention", "GroupQueryAttention"),
    "historic": ("LocalResponseNormalization", "TrainableAveragePooling2D", "TableConv2D", "RBF"),
    "wrappers": ("TimeDistributed", "Bidirectional", "SpectralNormalization"),
    "convolution": ("Conv1D", "Conv2D", "Conv3D"),
    "depthwise": ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    "transposed": ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    "pooling": (
        "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
    ),
    "globalpooling": (
        "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling1D",
        "GlobalAveragePooling2D", "GlobalAveragePooling3D", "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D",
        "AdaptiveMaxPooling3D", "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
    ),
    "normalization": (
        "BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization",
    ),
    "activationlayers": ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax"),
    "merging": ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"),
    "reshaping": ("Flatten", "Reshape", "Permute", "RepeatVector", "Identity"),
    "resampling": (
        "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D",
        "UpSampling2D", "UpSampling3D",
    ),
    "sizing": ("Resizing", "CenterCrop", "RandomCrop"),
    "regularization": (
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
        "GaussianNoise", "ActivityRegularization", "Masking",
    ),
    "preprocessing": ("Rescaling", "Normalization"),
    "augmentation": (
        "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization", "MixUp",
        "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast",
        "RandomElasticTransform", "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue",
        "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
        "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Solarization",
    ),
    "audio": ("STFTSpectrogram", "MelSpectrogram"),
    "applications": ("LayerScale", "StochasticDepth", "CustomScaleLayer"),
}  # fmt: skip
_MODULE_OF = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
# Keras's second names, and what Keras 2 called some layers.
ALIASES: dict[str, str] = {
    "GroupedQueryAttention": "GroupQueryAttention",
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    **{f"Convolution{n}DTranspose": f"Conv{n}DTranspose" for n in (1, 2, 3)},
    **{f"Deconvolution{n}D": f"Conv{n}DTranspose" for n in (2, 3)},
    **{f"SeparableConvolution{n}D": f"SeparableConv{n}D" for n in (1, 2)},
    **{f"DepthwiseConvolution{n}D": f"DepthwiseConv{n}D" for n in (1, 2)},
    **{f"{short}Pool{n}D": f"{long}Pooling{n}D" for n in (1, 2, 3) for short, long in (
        ("Max", "Max"), ("Avg", "Average"), ("GlobalMax", "GlobalMax"), ("GlobalAvg", "GlobalAverage"))},
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",  # its theta is the threshold
}  # fmt: skip
_TEXT = "text preprocessing works on strings before the model and has no arithmetic on tensors; start from its output"
_TABLE = (
    "tabular preprocessing looks values up before the model and has no arithmetic on tensors; start from its output"
)
_CODE = "its code is not executed, so that what it computes is not known"
# Layers of Keras whose cost is not a matter of arithmetic on tensors, and why.
REFUSED: dict[str, str] = {
    "TextVectorization": _TEXT,
    **dict.fromkeys(("StringLookup", "IntegerLookup", "IndexLookup", "Hashing", "HashedCrossing", "CategoryEncoding",
                     "Discretization", "FeatureSpace", "CategoryCrossing", "DenseFeatures"), _TABLE),
    **dict.fromkeys(("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"), _CODE),
    **dict.fromkeys(("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"), "it is a bare TensorFlow operation; "
                    "use a Keras layer, or save the model with Keras 3"),
    "MaxNumBoundingBoxes": "it works on bounding boxes, not on tensors of a network",
    **dict.fromkeys(("RandomHeight", "RandomWidth"), "the size of its output is drawn at random"),
    **dict.fromkeys(("LocallyConnected1D", "LocallyConnected2D"), "Keras 3 has no locally connected layers"),
    "Pipeline": "it wraps layers for data sets; write its layers one after the other",
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Every kind's name, family by family."""
    return tuple(_MODULE_OF)


def lookup(name: str) -> type[Kind]:
    """The class of a kind. Raises UnsupportedLayer, naming the nearest kind, when there is none.

    >>> lookup("Convolution2D").name()
    'Conv2D'
    """
    name = ALIASES.get(name, name)
    family = _MODULE_OF.get(name)
    if family is None:
        if name in REFUSED:
            raise UnsupportedLayer(f"layer kind '{name}' is not supported", rule=REFUSED[name])
        raise UnsupportedLayer(
            f"unknown layer kind '{printable(name)}'",
            rule="every layer is counted, free by rule, or an error",
            nearest=nearest(name, [*_MODULE_OF, *ALIASES]),
        )
    return _loaded(family, name)


@cache
def _loaded(family: str, name: str) -> type[Kind]:
    found: type[Kind] = getattr(import_module(f"cnncost.kinds.{family}"), name)
    return found
