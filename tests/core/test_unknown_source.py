"""A source that is none: what the forms are, and the zoo's spec that was probably meant."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cnncost import CnncostError, load


@pytest.mark.parametrize(("source", "meant"), [("vgg16", "zoo:vgg16"), ("resnet-50", "zoo:resnet50")])
def test_a_bare_name_of_the_zoo(source: str, meant: str) -> None:
    with pytest.raises(CnncostError, match=f"does not exist; a source is .*; did you mean '{meant}'"):
        load(source)


def test_a_missing_package_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(CnncostError, match=r"^error: h5py is not installed.*pip install 'cnncost\[h5\]'") as caught:
        load(str(tmp_path / "a.h5"))
    assert caught.value.exit_code == 3


def test_anything_else_gets_no_guess() -> None:
    with pytest.raises(CnncostError) as caught:
        load("nothing of the kind")
    assert "did you mean" not in str(caught.value)
