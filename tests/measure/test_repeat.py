"""Several processes of one run: the median, its own timeline, and what else is kept."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncost.errors import OutsideError
from cnncost.measure import Change, Job, Measurement, run_often
from cnncost.measure.repeat import merged
from cnncost.measure.worker.common import without_dots


def one(peak: int | None, chunks: int | None, seconds: tuple[float, ...] = ()) -> Measurement:
    changes = () if peak is None else (Change("op", "Conv2D", "conv", "forward", peak),)
    return Measurement({}, "CPU:0", (), {}, peak, chunks, 1000 + (peak or 0), changes, seconds, {"conv": 1.0})


def test_the_first_is_whole_and_the_others_measure_memory_alone() -> None:
    asked: list[tuple[int, float]] = []
    peaks = iter([30, 10, 20])

    def runner(job: Job, timeout: float) -> Measurement:
        asked.append((job.steps, timeout))
        peak = next(peaks)
        return one(peak, peak * 2, (0.5,) if job.steps else ())

    found = run_often(Job({}, (), steps=7), 60, 3, runner=runner)
    assert asked == [(7, 60), (0, 60), (0, 60)]
    assert found.step_seconds == (0.5,) and found.peak_bytes == 20 and found.chunk_bytes == 40
    assert found.changes[0].bytes == 20 and found.process_bytes == 1030
    assert found.runs == ((30, 60), (10, 20), (20, 40)) and found.sequences == ()  # less than 1 KiB each
    assert Measurement.from_dict(asdict(found)) == found


def test_the_sequences_of_all_processes_are_kept() -> None:
    two = merged([one(3000, None), one(2000, None)])
    assert two.sequences == ((3000,), (2000,)) and two.changes[0].bytes == 2000
    assert Measurement.from_dict(asdict(two)) == two
    assert merged([two, one(2500, None)]).sequences == ((3000,), (2000,), (2500,))
    assert merged([two, one(None, None)]).sequences == ((3000,), (2000,))  # one that told no allocations


def test_one_process_is_itself() -> None:
    found = run_often(Job({}, ()), 60, 1, runner=lambda job, timeout: one(5, None, (0.1,)))
    assert (found.peak_bytes, found.chunk_bytes, found.step_seconds, found.runs) == (5, None, (0.1,), ((5, None),))
    assert found.sequences == ()


def test_a_process_that_fails_costs_the_others_nothing() -> None:
    answers = iter([one(10, 20, (0.5,)), one(30, 60), OutsideError("the real run took longer than 9 s")])

    def runner(job: Job, timeout: float) -> Measurement:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    found = run_often(Job({}, ()), 9, 5, runner=runner)
    assert found.runs == ((10, 20), (30, 60)) and found.step_seconds == (0.5,)
    assert found.notes == ("process 3 of 5 failed and ended the repeats: the real run took longer than 9 s",)

    def refused(job: Job, timeout: float) -> Measurement:
        raise OutsideError("no such device")

    with pytest.raises(OutsideError, match="no such device"):
        run_often(Job({}, ()), 9, 5, runner=refused)


def test_more_processes_join_the_first() -> None:
    steps: list[int] = []

    def runner(job: Job, timeout: float) -> Measurement:
        steps.append(job.steps)
        return one(10, 20)

    found = run_often(Job({}, (), steps=7), 60, 3, one(30, 60, (0.5,)), runner)
    assert steps == [0, 0] and found.step_seconds == (0.5,)
    assert found.runs == ((30, 60), (10, 20), (10, 20)) and found.peak_bytes == 10


@given(st.lists(st.one_of(st.none(), st.integers(0, 99)), min_size=1, max_size=9))
def test_the_peak_is_one_that_a_process_had(peaks: list[int | None]) -> None:
    found = merged([one(peak, peak) for peak in peaks])
    known = sorted(peak for peak in peaks if peak is not None)
    if not known:
        assert found.peak_bytes is None and found.chunk_bytes is None
        return
    assert found.peak_bytes in known and sum(peak < found.peak_bytes for peak in known) <= len(known) // 2
    assert sum(peak > found.peak_bytes for peak in known) <= len(known) // 2
    assert found.changes[0].bytes == found.peak_bytes == found.chunk_bytes


def test_a_merged_measurement_can_be_merged_again() -> None:
    first = merged([one(30, 1, (0.5,)), one(10, 2), one(12, 3)])
    found = merged([first, one(11, 4), one(40, 5)])
    assert found.runs == ((30, 1), (10, 2), (12, 3), (11, 4), (40, 5)) and found.step_seconds == (0.5,)
    assert (found.peak_bytes, found.chunk_bytes, found.changes[0].bytes) == (12, 3, 12)


def test_a_stored_answer_of_one_process_is_still_read() -> None:
    data = asdict(one(5, 6, (0.1,)))
    del data["runs"]
    assert Measurement.from_dict(data).runs == ()


def test_names_have_no_dots_where_pytorch_takes_none() -> None:
    history = ["a.b", 0, 0]
    layers = [
        {"name": "a.b", "config": {"name": "a.b", "activation": "a.b"}},
        {"name": "a_b", "inbound_nodes": [{"args": [{"config": {"keras_history": history}}]}]},
    ]
    config = {"config": {"layers": layers, "input_layers": [history], "name": "net"}}
    job = without_dots(Job({"config": config}, (("a.b", 0), ("a_b", 0), ("a.b", 1))))
    assert job.names == (("a_b_", 0), ("a_b", 0), ("a_b_", 1))
    found = job.model["config"]["config"]
    assert found["layers"][0] == {"name": "a_b_", "config": {"name": "a_b_", "activation": "a.b"}}
    assert found["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] == ["a_b_", 0, 0]
    assert found["input_layers"] == [["a_b_", 0, 0]] and history[0] == "a.b"
    plain = Job({"application": "A"}, (("a.b", 0),))
    assert without_dots(plain) is plain


@pytest.mark.parametrize("names", [(("conv", 0),), ()])
def test_a_model_without_dots_is_as_it_was(names: tuple[tuple[str, int], ...]) -> None:
    job = Job({"config": {}}, names)
    assert without_dots(job) is job
