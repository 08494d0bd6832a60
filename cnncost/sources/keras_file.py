"""Keras model files read as data: the config in a ``.keras`` archive or an ``.h5`` file; never weights, never code."""

from __future__ import annotations

import os
from typing import IO, Any

from cnncost.errors import CnncostError, Location, MissingExtra, printable
from cnncost.graph import Graph
from cnncost.sources.keras_config import read_config
from cnncost.sources.places import Origin, parse_json

MAX_CONFIG = 64 * 2**20  # bytes of JSON; the largest architectures have a few MiB
MAX_DIRECTORY = 2**20  # bytes of a zip archive's table of contents; Keras writes three entries
HDF5 = b"\x89HDF\r\n\x1a\n"


def read_archive(path: str) -> Graph:
    """The graph of a ``.keras`` archive. Raises CnncostError when it is none."""
    if _signature(path) == HDF5:  # Keras 2 wrote HDF5 whatever the name was
        return read_h5(path)
    config = _member(path, "config.json", MAX_CONFIG)
    if config is None:
        raise _broken(path, "the archive has no config.json", rule="model.save('model.keras') writes one")
    origin = Origin(path, config, "config.json")
    data = parse_json(origin)
    return read_config(data, path, origin=origin, version=_version(path))


def read_h5(path: str) -> Graph:
    """The graph of an ``.h5`` model file. Raises MissingExtra without h5py."""
    signature = _signature(path)
    if signature[:4] == b"PK\x03\x04":
        return read_archive(path)
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("h5py", "h5") from error
    try:
        with h5py.File(path, "r") as file:
            if "model_config" not in file.attrs:
                raise _without_config(path, file)
            text, version = _text(path, file.attrs["model_config"]), file.attrs.get("keras_version", "")
            version = version.decode("ascii", "replace") if isinstance(version, bytes) else str(version)
    except CnncostError:
        raise
    except Exception as error:  # h5py raises OSError, RuntimeError, KeyError, … on corrupt files
        raise _broken(path, "this HDF5 file cannot be read", received=printable(str(error))) from None
    origin = Origin(path, text, "model_config")
    return read_config(parse_json(origin), path, origin=origin, version=version)


def _without_config(path: str, file: Any) -> CnncostError:
    weights = "layer_names" in file.attrs or any(
        key in file for key in ("layers", "model_weights", "_layer_checkpoint")
    )
    return _broken(
        path,
        "this file holds weights only" if weights else "this HDF5 file holds no Keras model",
        rule="its architecture (the attribute model_config) is not in it",
        nearest="save the whole model with model.save(), or its architecture with model.to_json()",
    )


def _text(path: str, value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise _broken(path, "model_config is no text", received=type(value).__name__)
    if len(value) > MAX_CONFIG:
        raise _broken(path, f"model_config has {len(value):,} characters", rule=f"at most {MAX_CONFIG:,}")
    return value


def _signature(path: str) -> bytes:
    if os.path.isdir(path):
        raise _broken(path, "this is a directory", rule="a model is one file: *.keras or *.h5")
    try:
        with open(path, "rb") as file:
            return file.read(8)
    except FileNotFoundError:
        raise _broken(path, "no such file") from None
    except OSError as error:
        raise _broken(path, f"cannot be read: {error.strerror}") from None


# -- archives --------------------------------------------------------------------------------------------------------


def _member(path: str, name: str, limit: int) -> str | None:
    """One member of an archive as text; None when it is not there. Reads at most ``limit`` bytes."""
    import zipfile

    try:
        with open(path, "rb") as file:
            _small_directory(path, file)
            with zipfile.ZipFile(file) as archive:
                if name not in archive.namelist():
                    return None
                info = archive.getinfo(name)
                if info.flag_bits & 1:
                    raise _broken(path, f"{name} is encrypted")
                with archive.open(info) as member:
                    content = member.read(limit + 1)
    except CnncostError:
        raise
    except Exception as error:  # zipfile lets zlib, struct, lzma and codec errors through
        rule, words = "a .keras file is a zip archive", printable(str(error) or type(error).__name__)
        raise _broken(path, "this is no readable zip archive", rule=rule, received=words) from None
    if len(content) > limit:
        raise _broken(path, f"{name} is too large", rule=f"at most {limit:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _broken(path, f"{name} is no UTF-8 text", received=f"byte {error.start} is no text") from None


def _small_directory(path: str, file: IO[bytes]) -> None:
    """Refuse an archive whose table of contents alone would fill the memory; zipfile reads it whole."""
    import zipfile

    end_record = getattr(zipfile, "_EndRecData", None)
    record = end_record(file) if end_record else None
    if record and record[5] > MAX_DIRECTORY:
        raise _broken(path, "the archive has too many entries", rule=f"a table of contents of {MAX_DIRECTORY:,} bytes",
                      received=f"{record[5]:,} bytes")  # fmt: skip
    file.seek(0)


def _version(path: str) -> str:
    """The Keras version that the archive's metadata states, or an empty text."""
    try:
        text = _member(path, "metadata.json", 2**20)
        metadata = parse_json(Origin(path, text, "metadata.json")) if text else {}
    except CnncostError:
        return ""
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    return version if isinstance(version, str) else ""


def _broken(path: str, problem: str, *, rule: str = "", received: str = "", nearest: str = "") -> CnncostError:
    return CnncostError(problem, rule=rule, received=received, nearest=nearest, location=Location(path))
