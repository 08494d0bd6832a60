"""TensorFlow's allocator on paper: laws, sequences worked by hand, and what a real process reports."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnncost
from cnncost.errors import OutsideError
from cnncost.memory.bfc import replay
from cnncost.memory.chunks import FIRST_REGION, MOST_WASTE, Chunks, OutOfMemory, rounded
from cnncost.memory.predict import predict

MIB = 2**20
NET = {
    "input": [32, 32, 3],
    "layers": [
        {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}},
        "BatchNormalization",
        "ReLU",
        {"Conv2D": {"filters": 32, "kernel_size": 3, "padding": "same", "strides": 2}},
        "BatchNormalization",
        "ReLU",
        "GlobalAveragePooling2D",
        {"Dense": {"units": 10, "activation": "softmax"}},
    ],
}
# A request's bytes, or the place of the live chunk to give back.
actions = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(1, 3 * MIB)),
        st.tuples(st.just("take"), st.integers(1, 2000)),
        st.tuples(st.just("free"), st.integers(0, 10**6)),
    ),
    max_size=120,
)


def played(steps: list[tuple[str, int]], chunks: Chunks) -> dict[int, int]:
    """Runs them; address → requested bytes of what lives."""
    live: dict[int, int] = {}
    for what, number in steps:
        if what == "take":
            address = chunks.allocate(number)
            assert address not in live
            live[address] = number
        elif live:
            address = sorted(live)[number % len(live)]
            del live[address]
            chunks.free(address)
    return live


@given(actions)
def test_chunks_cover_the_pool_without_overlap(steps):
    chunks = Chunks()
    live = played(steps, chunks)
    end, total = None, 0
    before_free = False
    for address, size, used in chunks.chunks():
        assert size > 0 and size % 256 == 0
        assert used == (address in live)
        assert end is None or address >= end
        assert not (before_free and not used and address == end), "two free neighbours"
        end, before_free = address + size, not used
        total += size
    assert total == chunks.pool
    assert chunks.in_use == sum(chunks.size(address) for address in live) <= chunks.peak


@given(actions)
def test_waste_is_bounded(steps):
    chunks = Chunks()
    for address, requested in played(steps, chunks).items():
        have, need = chunks.size(address), rounded(requested)
        assert need <= have < max(2 * need, need + 1)
        assert have - need < MOST_WASTE


@given(actions)
def test_all_freed_is_all_coalesced(steps):
    chunks = Chunks()
    for address in played(steps, chunks):
        chunks.free(address)
    assert chunks.in_use == 0
    sizes = [size for _, size, _ in chunks.chunks()]
    assert sum(sizes) == chunks.pool
    assert all(size >= FIRST_REGION for size in sizes), "each region is one chunk again"


@given(actions)
def test_best_fit_against_a_search_of_all_holes(steps):
    chunks = Chunks()
    played(steps, chunks)
    holes = sorted((size, address) for address, size, used in chunks.chunks() if not used)
    for request in (1, 700, 40_000):
        fit = next(((size, address) for size, address in holes if size >= rounded(request)), None)
        if fit is not None:
            address = chunks.allocate(request)
            assert address == fit[1]
            assert chunks.size(address) == (rounded(request) if fit[0] >= 2 * rounded(request) else fit[0])
            chunks.free(address)


def test_regions_double():
    """2 MiB, then 4 although 2 would do, then as many doublings as 20 MiB need, and no doubling after that."""
    chunks = Chunks()
    pools = []
    for size in (2 * MIB, MIB, 20 * MIB, 30 * MIB):
        chunks.allocate(size)
        pools.append(chunks.pool // MIB)
    assert pools == [2, 6, 38, 70]


def test_a_chunk_less_than_twice_the_request_is_given_whole():
    chunks = Chunks()
    whole = chunks.allocate(2 * MIB)
    chunks.free(whole)
    assert chunks.size(chunks.allocate(MIB + 1)) == 2 * MIB
    assert chunks.in_use == 2 * MIB


def test_128_mib_are_never_wasted():
    chunks = Chunks()
    chunks.free(chunks.allocate(512 * MIB))
    assert chunks.size(chunks.allocate(384 * MIB)) == 384 * MIB
    other = Chunks()
    other.free(other.allocate(512 * MIB))
    assert other.size(other.allocate(385 * MIB)) == 512 * MIB


def test_the_limit_holds():
    chunks = Chunks(limit=4 * MIB)
    chunks.allocate(2 * MIB)
    chunks.allocate(2 * MIB)
    with pytest.raises(OutOfMemory):
        chunks.allocate(1)
    assert chunks.pool == 4 * MIB


def test_without_growth_the_pool_is_there_at_once():
    chunks = Chunks(limit=100 * MIB, growth=False)
    chunks.allocate(1)
    assert chunks.pool == 100 * MIB


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_a_replay_only_changes_bytes(mode):
    analysis = cnncost.analyze(NET, batch=4, mode=mode)
    requested = predict(analysis, mode)
    chunks = replay(requested, analysis)
    assert chunks.allocator == "bfc"
    assert [(e.op, e.buffer) for e in chunks.events] == [(e.op, e.buffer) for e in requested.events]
    for own, other in zip(chunks.events, requested.events, strict=True):
        assert own.bytes % 256 == 0
        assert (own.bytes > 0) == (other.bytes > 0)
        assert abs(own.bytes) >= abs(other.bytes)
    assert chunks.peak_bytes == max(event.live for event in chunks.events) >= requested.peak_bytes
    assert chunks.events[chunks.peak_event].live == chunks.peak_bytes
    assert chunks.low_bytes <= chunks.peak_bytes <= chunks.high_bytes


def test_more_than_the_limit_is_one_message():
    analysis = cnncost.analyze({"input": [1000, 1000, 3], "layers": [{"Conv2D": [64, 3]}]}, batch=1000)
    with pytest.raises(OutsideError, match="at most 68,719,476,736 bytes"):
        predict(analysis, allocator="bfc")


@pytest.mark.keras
@pytest.mark.parametrize(("mode", "share"), [("inference", 0.02), ("training", 0.08)])
def test_what_a_real_process_counts(mode, share, tmp_path):
    """A training step moves weights between chunks: real processes differ by 4 % here."""
    import json

    from cnncost.cli import main

    spec, out = tmp_path / "net.json", tmp_path / "out.json"
    spec.write_text(json.dumps(NET))
    args = ["verify", str(spec), "--batch", "4", "--mode", mode, "--steps", "1", "--tolerance", str(share)]
    code = main([*args, "--allocator", "bfc", "--format", "json", "-o", str(out)])
    peak = json.loads(out.read_text())["peak"]
    assert code == 0, peak
    assert peak["predicted_bytes"] == pytest.approx(peak["chunk_bytes"], rel=share)
