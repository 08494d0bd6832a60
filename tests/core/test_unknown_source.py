"""A source that is none: what the forms are, and the zoo's spec that was probably meant."""

from __future__ import annotations

import pytest

from cnncost import CnncostError, load


@pytest.mark.parametrize(("source", "meant"), [("vgg16", "zoo:vgg16"), ("resnet-50", "zoo:resnet50")])
def test_a_bare_name_of_the_zoo(source: str, meant: str) -> None:
    with pytest.raises(CnncostError, match=f"does not exist; a source is .*; did you mean '{meant}'"):
        load(source)


def test_anything_else_gets_no_guess() -> None:
    with pytest.raises(CnncostError) as caught:
        load("nothing of the kind")
    assert "did you mean" not in str(caught.value)
