"""The profile reader on profiles made here byte by byte, whole, cut and spoilt."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncost.measure.profile import Scopes, changes, layer_times
from cnncost.measure.records import peak
from cnncost.measure.xplane import MAX_BYTES, ProfileError, events, read_profile

SCOPES = Scopes("net", {"conv": "conv", "dense": "dense"})


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def named(field: int, key: int, name: str) -> bytes:
    return message(field, number(1, key) + message(2, number(1, key) + message(2, name.encode())))


class Plane:
    """Builds an XSpace of one plane with one line."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self.stats: dict[str, int] = {}
        self.events = b""

    def event(self, name: str, start: int, duration: int = 0, **stats: object) -> None:
        key = self.names.setdefault(name, len(self.names) + 1)
        body = number(1, key) + number(2, start) + number(3, duration)
        for stat, value in stats.items():
            body += message(4, self.stat(self.stats.setdefault(stat, len(self.stats) + 1), value))
        self.events += message(4, body)

    def stat(self, key: int, value: object) -> bytes:
        if isinstance(value, float):
            return number(1, key) + varint(2 << 3 | 1) + struct.pack("<d", value)
        if isinstance(value, int):
            return number(1, key) + number(4, value)
        return number(1, key) + number(7, self.stats.setdefault(str(value), len(self.stats) + 1))

    def memory(self, start: int, size: int, op: str = "", allocator: str = "bfc_cpu_allocator_for_gpu") -> None:
        name = "MemoryAllocation" if size > 0 else "MemoryDeallocation"
        self.event(name, start, allocator_name=allocator, requested_bytes=abs(size), fragmentation=0.5,
                   **({"tf_op": op, "region_type": "output", "shape": "[2]"} if op else {}))  # fmt: skip

    def bytes(self) -> bytes:
        line = message(3, number(3, 7) + self.events)  # timestamp_ns = 7
        names = b"".join(named(4, key, name) for name, key in self.names.items())
        stats = b"".join(named(5, key, name) for name, key in self.stats.items())
        return message(1, line + names + stats)


def step() -> Plane:
    plane = Plane()
    plane.memory(50, -8)  # out of order, and allocated before the step: a weight that was replaced
    plane.memory(10, 100, "net_1/conv_1/Relu")
    plane.memory(20, 40, "gradient_tape/net_1/dense_1/MatMul")
    plane.memory(30, -100)
    plane.memory(15, 10**12, "net_1/conv_1/Relu", allocator="GPU_1_bfc")
    plane.event("net_1/conv_1/Relu:_FusedConv2D", 9, 5)
    plane.event("tsl::Something", 0, 1)
    return plane


def test_changes_in_order_of_time() -> None:
    found = changes(step().bytes(), "CPU:0", SCOPES, training=True)
    assert [change.bytes for change in found] == [100, 40, -100, -8]
    assert found[0][:4] == ("net_1/conv_1/Relu", "_FusedConv2D", "conv", "forward")
    assert (found[0].region, found[0].shape) == ("output", "[2]")
    assert (found[1].layer, found[1].phase) == ("dense", "backward")
    assert peak(found) == 140
    assert [change.bytes for change in changes(step().bytes(), "GPU:1", SCOPES)] == [10**12]
    assert changes(step().bytes(), "GPU:0", SCOPES) == ()


def test_line_times_and_statistics() -> None:
    plane = Plane()
    plane.event("a:A", 3, 4, half=0.5, minus=-1, text="ref")
    (event,) = events(plane.bytes(), lambda name: True, lambda name: True)
    assert event == ("a:A", 7003, 4, {"half": 0.5, "minus": -1, "text": "ref"})


def test_layer_times_are_medians_of_steps() -> None:
    plane = Plane()
    for at, duration in enumerate([10, 1000, 20]):
        plane.event("net/conv/Conv2D:Conv2D", at, duration)
    for at, duration in enumerate([1, 1, 3, 3, 9, 9]):  # a loop: twice in each of three steps
        plane.event("net/dense/MatMul:MatMul", at, duration)
    plane.event("net/dense/Once:Rare", 0, 30)  # not in every step
    found = layer_times(plane.bytes(), 3, SCOPES)
    assert found == {
        "conv": pytest.approx((20e-12, 10e-12, 1000e-12)), "dense": pytest.approx((16e-12, 12e-12, 28e-12))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("op", "layer"),
    [
        ("net/conv/Relu", "conv"),
        ("net_3/conv_1/Relu", "conv"),
        ("gradient_tape/net_1/dense_1/MatMul", "dense"),
        ("conv/Relu", None),
        ("sgd/Mul", None),
        ("", None),
        ("net_1/other_1/conv_1/x", "conv"),
    ],
)
def test_scopes(op: str, layer: str | None) -> None:
    assert SCOPES.layer(op) == layer


def test_every_cut_is_an_error_or_fewer_events() -> None:
    data = step().bytes()
    for end in range(len(data)):
        with pytest.raises(ProfileError):  # the plane's length is always longer than what is left
            if not changes(data[:end], "CPU:0", SCOPES):
                raise ProfileError("nothing left")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_spoilt_bytes_are_one_error(data: st.DataObject) -> None:
    spoilt = bytearray(step().bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    try:
        changes(bytes(spoilt), "CPU:0", SCOPES)
        layer_times(bytes(spoilt), 1, SCOPES)
    except ProfileError as error:
        assert error.exit_code == 3 and "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_one_error(data: bytes) -> None:
    try:
        list(events(data, lambda name: True, lambda name: True))
    except ProfileError as error:
        assert "corrupt" in str(error)


def test_a_huge_profile_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.xplane.pb"
    with path.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)  # takes no room on the disk
    begun = time.monotonic()
    with pytest.raises(ProfileError, match="more than 1,073,741,824"):
        read_profile(str(path))
    assert time.monotonic() - begun < 0.5
    path.write_bytes(b"ab")
    assert read_profile(str(path)) == b"ab"


def test_long_numbers_end() -> None:
    with pytest.raises(ProfileError, match="ten bytes"):
        list(events(b"\xff" * 50, bool, bool))
    with pytest.raises(ProfileError, match="wire type"):
        list(events(b"\x0b", bool, bool))
    with pytest.raises(ProfileError, match="longer than"):
        list(events(b"\x0a\x7f\x00", bool, bool))


@pytest.mark.keras
def test_against_tensorflows_own_reader() -> None:
    xplane_pb2 = pytest.importorskip("tensorflow.tsl.profiler.protobuf.xplane_pb2")
    space = xplane_pb2.XSpace()
    space.ParseFromString(step().bytes())
    (plane,) = space.planes
    theirs = [
        (plane.event_metadata[event.metadata_id].name, line.timestamp_ns * 1000 + event.offset_ps, event.duration_ps)
        for line in plane.lines
        for event in line.events
    ]
    assert [event[:3] for event in events(step().bytes(), lambda name: True, lambda name: False)] == theirs
