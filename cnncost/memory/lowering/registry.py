"""Which module lowers which kind. A module is imported when one of its kinds is first met."""

from __future__ import annotations

from importlib import import_module

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.base import Rule

FAMILIES: dict[str, tuple[str, ...]] = {
    "core": ("Dense",),
    "convolution": ("Conv1D", "Conv2D", "Conv3D"),
    "depthwise": ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    "transposed": ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    "normalization": ("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization",
                      "UnitNormalization"),
    "activation": ("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"),
    "pooling": (
        "MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D", "AveragePooling2D", "AveragePooling3D",
        "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalMaxPooling1D",
        "GlobalMaxPooling2D", "GlobalMaxPooling3D",
    ),
    "merging": (
        "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "CustomScaleLayer",
        "LayerScale",
    ),
    "shaping": (
        "Flatten", "Reshape", "Permute", "RepeatVector", "Identity", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D",
        "Cropping1D", "Cropping2D", "Cropping3D", "UpSampling1D", "UpSampling2D", "UpSampling3D",
    ),
    "dropping": (
        "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "StochasticDepth",
        "ActivityRegularization", "GaussianNoise", "GaussianDropout", "AlphaDropout", "Masking",
    ),
    "adaptive": (
        "AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D", "AdaptiveMaxPooling1D",
        "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D",
    ),
    "sizing": ("Resizing", "CenterCrop", "RandomCrop"),
    "augmentation": (
        "AugMix", "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "MixUp", "RandAugment",
        "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter", "RandomContrast", "RandomElasticTransform",
        "RandomErasing", "RandomFlip", "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
        "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation", "RandomSharpness",
        "RandomShear", "RandomTranslation", "RandomZoom", "Solarization",
    ),
    "audio": ("STFTSpectrogram",),
    "einsum": ("EinsumDense",),
    "attention": ("Attention", "AdditiveAttention"),
    "multihead": ("MultiHeadAttention", "GroupQueryAttention"),
    "embedding": ("Embedding", "ReversibleEmbedding"),
    "preprocessing": ("Rescaling", "Normalization"),
    "wrapping": ("TimeDistributed", "SpectralNormalization"),
    "recurrent": ("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional"),
    "historic": ("LocalResponseNormalization", "TrainableAveragePooling2D", "TableConv2D", "RBF"),
}  # fmt: skip
_MODULE_OF = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
_RULES: dict[str, Rule] = {}


def supported() -> tuple[str, ...]:
    """The kinds that the memory simulation knows, InputLayer aside."""
    return tuple(_MODULE_OF)


def rule(kind: str) -> Rule:
    """The rule of a kind. Raises UnsupportedLayer naming it where there is none."""
    found = _RULES.get(kind)
    if found is None:
        module = _MODULE_OF.get(kind)
        if module is None:
            raise UnsupportedLayer(
                f"the memory simulation does not know layer kind '{kind}'",
                rule="it follows TensorFlow op by op and guesses nothing",
            )
        found = _RULES[kind] = import_module(f"cnncost.memory.lowering.{module}").RULES[kind]
    return found
