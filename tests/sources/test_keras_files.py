"""Archives and HDF5 files as they are, and as they should not be."""

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib

import pytest

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.sources import load

DENSE = {"class_name": "Dense", "config": {"name": "d", "units": 3, "batch_input_shape": [None, 4]}}
GOOD = json.dumps({"module": "keras", "class_name": "Sequential", "config": {"name": "net", "layers": [DENSE]}})


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return str(path)


def refused(path, *words):
    with pytest.raises(CnncostError) as caught:
        load(str(path))
    text = str(caught.value)
    assert text.startswith(f"{path}") and "error: " in text and "\n" not in text
    for word in words:
        assert word in text, text


def test_a_good_archive(tmp_path):
    path = archive(tmp_path / "a.keras", config_json=GOOD, metadata_json='{"keras_version": "3.5.0"}')
    graph = load(path)
    assert graph.dialect == "keras3" and graph.source == path
    assert analyze_graph(graph).totals.params == 15


def test_the_weights_are_never_read(tmp_path):
    """An archive whose weights are broken is as good as any."""
    path = tmp_path / "a.keras"
    archive(path, config_json=GOOD, model_weights_h5=os.urandom(100_000))
    data = bytearray(path.read_bytes())
    at = data.index(b"model.weights.h5")
    data[at + 100 : at + 5000] = bytes(4900)
    path.write_bytes(data)
    assert analyze_graph(load(str(path))).totals.params == 15


def test_places_point_into_the_config(tmp_path):
    bad = json.dumps({"class_name": "Sequential", "config": {"name": "n", "layers": [
        {"class_name": "Dense", "config": {"name": "d", "units": -1}}]}}, indent=1)  # fmt: skip
    path = archive(tmp_path / "a.keras", config_json=bad)
    with pytest.raises(CnncostError) as caught:
        load(path)
    line = next(n for n, row in enumerate(bad.splitlines(), 1) if '"name": "d"' in row)
    assert str(caught.value).startswith(f"{path}:{line}:") and "(in config.json)" in str(caught.value)


def test_not_an_archive(tmp_path):
    path = tmp_path / "a.keras"
    for content in (b"", b"junk" * 1000, os.urandom(5000), b"PK\x03\x04" + bytes(100), b"PK\x05\x06" + bytes(18)):
        path.write_bytes(content)
        refused(path)


def test_missing_config(tmp_path):
    refused(archive(tmp_path / "a.keras", metadata_json="{}"), "no config.json")


def test_directories_and_missing_files(tmp_path):
    folder = tmp_path / "d.keras"
    folder.mkdir()
    refused(folder, "directory")
    refused(tmp_path / "nothing.keras", "no such file")
    refused(tmp_path / "nothing.h5", "no such file")
    refused(tmp_path / f"{'x' * 300}.h5", "cannot be read: File name too long")


def test_a_config_that_is_a_directory(tmp_path):
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json/", "")
    refused(path, "no config.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '"x"', "[" * 100_000, '{"a": ' * 50_000, "9" * 10_000, "{]"])
def test_configs_that_are_no_model(tmp_path, content):
    refused(archive(tmp_path / "a.keras", config_json=content))


def test_not_utf8(tmp_path):
    refused(archive(tmp_path / "a.keras", config_json=b"\xff\xfe{}"), "UTF-8")


def test_a_bomb_is_read_no_further_than_the_bound(tmp_path):
    """A gigabyte of spaces in a megabyte: refused, in a child process with little memory."""
    path = tmp_path / "bomb.keras"
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = b" " * 2**20
    body = b"".join([packer.compress(chunk) for _ in range(1024)] + [packer.flush()])
    raw(path, body, size=1024 * 2**20)
    child(path, "too large")
    raw(path, body, size=100)  # and one that lies about its size
    child(path)


def raw(path, body, size, name=b"config.json"):
    """A zip archive with one deflated member, written by hand, so that its fields may lie."""
    local = struct.pack("<4sHHHHHIIIHH", b"PK\x03\x04", 20, 0, 8, 0, 0, 0, len(body), size & 0xFFFFFFFF, len(name), 0)
    central = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, 0, len(body), size & 0xFFFFFFFF,
                          len(name), 0, 0, 0, 0, 0, 0)  # fmt: skip
    start = len(local) + len(name) + len(body)
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(central) + len(name), start, 0)
    path.write_bytes(local + name + body + central + name + end)


def child(path, *words):
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (700 * 2**20,) * 2)\n"
        "from cnncost import load, CnncostError\n"
        "try: load(sys.argv[1])\n"
        "except CnncostError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "error: " in done.stdout, done.stderr
    assert all(word in done.stdout for word in words), done.stdout


def test_too_many_entries(tmp_path):
    path = tmp_path / "a.keras"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for i in range(20_000):
            file.writestr(f"{i:0>20}", "")
    path.write_bytes(buffer.getvalue())
    refused(path, "too many entries")


def test_encrypted(tmp_path):
    path = tmp_path / "a.keras"
    archive(path, config_json=GOOD)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    refused(path, "encrypted")


def test_every_truncation_and_flip_is_one_error_or_nothing(tmp_path):
    path = tmp_path / "a.keras"
    archive(path, config_json=GOOD, metadata_json="{}")
    data = path.read_bytes()
    for cut in range(0, len(data), 7):
        path.write_bytes(data[:cut])
        refused(path)
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x5A]) + data[at + 1 :])
        with contextlib.suppress(CnncostError):
            load(str(path))


def test_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    for value in (GOOD, GOOD.encode()):
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = value
            file.attrs["keras_version"] = b"2.2.4-tf"
        graph = load(str(path))
        assert graph.dialect == "keras2" and analyze_graph(graph).totals.params == 15
    other = tmp_path / "a.keras"  # Keras 2 wrote HDF5 whatever the name
    other.write_bytes(path.read_bytes())
    assert analyze_graph(load(str(other))).totals.params == 15


def test_hostile_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5"
    path.write_bytes(b"junk" * 100)
    refused(path, "HDF5")
    for value in (3, [1, 2], "{", "[]", b"\xff\xfe", "[" * 50_000):
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = value
        refused(path)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
    refused(path, "weights only", "model.save()")
    with h5py.File(path, "w") as file:
        file["x"] = 3
    refused(path, "no Keras model")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = GOOD
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(path)


def test_an_archive_named_h5(tmp_path):
    archive(tmp_path / "a.keras", config_json=GOOD)
    path = tmp_path / "a.h5"
    path.write_bytes((tmp_path / "a.keras").read_bytes())
    assert analyze_graph(load(str(path))).totals.params == 15


def test_without_h5py(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CnncostError) as caught:
        load(str(path))
    assert caught.value.exit_code == 3 and "pip install 'cnncost[h5]'" in str(caught.value)


def test_reading_files_loads_no_tensorflow(tmp_path):
    path = archive(tmp_path / "a.keras", config_json=GOOD)
    code = (
        "import sys; from cnncost import load; load(sys.argv[1])\n"
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'h5py', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("schema", "use"), [("cnncost/verify/1", "--verification"), ("cnncost/analysis/1", "diff")])
def test_an_answer_of_this_tool_is_named_as_one(tmp_path, schema, use):
    """It was called a spec with an unknown key."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"schema": schema, "layers": []}))
    refused(path, "an answer of this tool")
    refused(path, use)
