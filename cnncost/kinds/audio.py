"""Spectrograms: sequences of samples become frames of frequencies."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Anything, Choice, Flag, Integer, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, MacTerm, Shapes, Weight
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Dim, Shape
from cnncost.window import Window, reach, slide

# Operations per frequency of a frame beyond the products, by mode.
_MODES = {"log": 7, "magnitude": 5, "psd": 4, "real": 0, "imag": 0, "angle": 1, "stft": 0}


@dataclass(frozen=True)
class STFTSpectrogram(Spatial):
    """The short-time Fourier transform as two convolutions (real, imaginary part) whose kernels are weights. Operations
    per frequency: magnitude 5 (two squares, sum, maximum, root), log 2 more, psd 4 (two squares, sum, doubling), angle
    1.

    >>> stft = STFTSpectrogram(frame_length=256)
    >>> stft.output(((16000, 1),)), [w.shape for w in stft.weights(((16000, 1),))]
    ((124, 129), [(256, 1, 129), (256, 1, 129)])
    """

    mode: str = arg(Choice("what of the transform is kept", *_MODES), "log")
    frame_length: int = arg(Integer("samples of a frame"), 256)
    frame_step: int | None = arg(Integer("samples between frames; unset, half a frame", optional=True), None)
    fft_length: int | None = arg(
        Integer("length of the transform; unset, the next power of two", high=2**24, optional=True), None
    )
    window: str | None = arg(Anything("weights of a frame's samples", optional=True), "hann")
    periodic: bool = arg(Flag("a periodic window"), False)
    scaling: str | None = arg(Choice("unit of the spectrum", "density", "spectrum", optional=True), "density")
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    expand_dims: bool = arg(Flag("keep the channels as an axis of their own"), False)
    data_format: str | None = data_format()

    rank = 1
    keeps = ("inputs",)

    def check(self) -> None:
        if self.frame_step is not None and self.frame_step > self.frame_length:
            raise self.wrong("frame_step", "frames with gaps between them", rule="it must be at most frame_length",
                             received=f"frame_step {self.frame_step}, frame_length {self.frame_length}")  # fmt: skip
        if self.fft_length is not None and self.fft_length < self.frame_length:
            raise self.wrong("fft_length", "a transform shorter than a frame", rule="it must be at least frame_length",
                             received=f"fft_length {self.fft_length}, frame_length {self.frame_length}")  # fmt: skip

    @property
    def _frequencies(self) -> int:
        length = self.fft_length or 1 << (self.frame_length - 1).bit_length()
        return length // 2 + 1

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        spatial, _ = self.split(inputs)
        step = self.frame_step or self.frame_length // 2 or 1
        return (slide(spatial[0], self.frame_length, step, self.padding),)

    def output(self, inputs: Shapes) -> Shape:
        frames, channels = self.windows(inputs)[0].output, self.split(inputs)[1]
        bins = self._frequencies * (2 if self.mode == "stft" else 1)
        if self.expand_dims:
            return self.join((frames, bins), channels)
        return self.join((frames,), None if channels is None else channels * bins)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        shape = (self.frame_length, 1, self._frequencies)
        parts = (("real_kernel", "imag"), ("imag_kernel", "real"))
        return tuple(Weight(name, shape) for name, without in parts if self.mode != without)

    def _values(self, inputs: Shapes) -> Count:
        frames = count(self.windows(inputs)[0].output, "frames")
        return times(frames, count(self.split(inputs)[1], "channels"), count(self._frequencies, "frequencies"))

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        products = times(self._values(inputs), count(self.frame_length, "samples"))
        return tuple(MacTerm(w.name.removesuffix("_kernel"), products, w.name) for w in self.weights(inputs))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        each = _MODES[self.mode]
        return times(each, self._values(inputs)) if each else count(0)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return (reach(self.windows(inputs)[0]),)


@dataclass(frozen=True)
class MelSpectrogram(Kind):
    """Spectrogram of centred frames, then a product with the fixed matrix of mel bands, then decibels. The fast Fourier
    transform of N real samples takes 5/2·N·log2 N operations; magnitude and power 5 per frequency, decibels 5 per band.

    >>> mel = MelSpectrogram()
    >>> mel.output(((16000,),)), mel.macs(((16000,),), ((128, 32),))[0].count.derivation()
    ((128, 32), '32 × 1,025 × 128 = 4,198,400')
    """

    fft_length: int = arg(Integer("length of the transform", high=2**24), 2048)
    sequence_stride: int = arg(Integer("samples between frames"), 512)
    sequence_length: int | None = arg(Integer("samples of a frame; unset, fft_length", optional=True), None)
    window: str | None = arg(Anything("weights of a frame's samples", optional=True), "hann")
    sampling_rate: float = arg(Number("samples per second", low=1), 16000)
    num_mel_bins: int = arg(Integer("bands of the output"), 128)
    min_freq: float = arg(Number("lowest frequency", low=0), 20.0)
    max_freq: float | None = arg(Number("highest frequency; unset, half the sampling rate", optional=True), None)
    power_to_db: bool = arg(Flag("decibels"), True)
    top_db: float = arg(Number("range of the decibels"), 80.0)
    mag_exp: float = arg(Number("power of the magnitude"), 2.0)
    min_power: float = arg(Number("smallest power"), 1e-10)
    ref_power: float = arg(Number("power of 0 decibels"), 1.0)

    keeps = ("inputs", "outputs")

    def check(self) -> None:
        if self.sequence_length is not None and self.sequence_length > self.fft_length:
            raise self.wrong(
                "sequence_length", "a transform shorter than a frame", rule="it must be at most fft_length",
                received=f"fft_length {self.fft_length}, sequence_length {self.sequence_length}",
            )  # fmt: skip

    def _frames(self, inputs: Shapes) -> Dim:
        (samples,) = self.axes(inputs, 1, "[samples]")
        if samples is None:
            return None
        if samples < 1:
            raise GeometryError("MelSpectrogram: no samples")
        return (samples + self.sequence_stride + 1) // self.sequence_stride

    def output(self, inputs: Shapes) -> Shape:
        return (self.num_mel_bins, self._frames(inputs))

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        bins = count(self.fft_length // 2 + 1, "frequencies")
        frames = count(self._frames(inputs), "frames")
        return (MacTerm("mel bands", times(frames, bins, count(self.num_mel_bins, "bands")), None),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        n = self.fft_length
        transform = 5 * n * (n - 1).bit_length() // 2
        each = plus(transform, times(5, n // 2 + 1), times(5, self.num_mel_bins) if self.power_to_db else 0)
        return times(self._frames(inputs), each)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        """Bands and frames are the output's axes, samples the input's: positions do not correspond one to one."""
        return WHOLE
