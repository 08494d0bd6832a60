"""Budgets beside the tests of a model: a mark, the fixture, and an assertion for any runner."""

import pytest

from cnncost import assert_within


@pytest.mark.cnncost(model="models/edge.yaml", params="4.2k", inference_peak="4 MiB", batch=8)
def test_edge_fits() -> None:
    """The mark is checked before the body runs."""


def test_server_is_deep_enough(cnncost_report) -> None:
    report = cnncost_report("models/server.yaml", batch=4)
    assert report.totals.macs < 2e9 and report.batch == 4


def test_any_runner() -> None:
    assert_within("models/server.yaml", params="400k", layer_macs={"max": "2G", "kind": "Conv*"})
