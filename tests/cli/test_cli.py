"""The command line from outside: exit codes, one-line errors, files whole or not at all, streams that fail."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import cnncost

pytestmark = pytest.mark.cli
CLI = [sys.executable, "-m", "cnncost"]
SPEC = """\
name: small
input: [8, 8, 3]
layers:
  - Conv2D: [4, 3]
  - Flatten:
  - Dense: 10
"""
ROOT = os.geteuid() == 0 if hasattr(os, "geteuid") else False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPEC)
    (tmp_path / "wrong.yaml").write_text(SPEC + "expect: {params: 7}\n")
    return tmp_path


def run(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return subprocess.run([*CLI, *arguments], cwd=folder, env=clean | (env or {}), capture_output=True, timeout=60)


def failed(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    """The one message of a failed command."""
    message = done.stderr.decode()
    assert done.returncode == code, message
    assert message.count("\n") == 1 and "error: " in message and "Traceback" not in message
    assert done.stdout == b""
    return message


def test_version(folder: Path) -> None:
    assert run(folder, "--version").stdout.decode() == f"cnncost {cnncost.__version__}\n"


def test_analyze(folder: Path) -> None:
    done = run(folder, "analyze", "small.yaml", "--batch", "2", "--format", "json")
    assert done.returncode == 0 and done.stderr == b""
    data = json.loads(done.stdout)
    assert data == json.loads(json.dumps(cnncost.analyze(str(folder / "small.yaml"), batch=2).to_dict())) | {
        "source": "small.yaml"
    }
    assert data["totals"]["params"] == (3 * 3 * 3 + 1) * 4 + (6 * 6 * 4 + 1) * 10


@pytest.mark.parametrize("command", ["analyze", "explain", "export", "zoo", "schema", "init"])
def test_help_has_an_example(folder: Path, command: str) -> None:
    done = run(folder, command, "--help")
    assert done.returncode == 0
    assert re.search(rf"examples?:\n  cnncost {command}", done.stdout.decode())
    assert re.search(rf"(?m)^  {command} ", run(folder, "--help").stdout.decode())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "a command is one of"),
        (["analize"], "did you mean 'analyze'?"),
        (["--vresion"], "did you mean '--version'?"),
        (["analyze"], "SOURCE"),
        (["analyze", "small.yaml", "--bacth", "3"], "did you mean '--batch'?"),
        (["analyze", "small.yaml", "--batch=3", "--depht=1"], "did you mean '--depth'?"),
        (["analyze", "small.yaml", "extra"], "unexpected argument 'extra'"),
        (["analyze", "small.yaml", "--batch", "0"], "--batch: "),
        (["analyze", "small.yaml", "--batch", "1.5"], "received 1.5"),
        (["analyze", "small.yaml", "--batch", "9" * 5000], "whole number"),
        (["analyze", "small.yaml", "--batch", "\u0663"], "whole number"),
        (["analyze", "small.yaml", "--format", "jsn"], "did you mean 'json'?"),
        (["analyze", "small.yaml", "--format", "pdf"], "it is one of table, json, markdown, csv, html"),
        (["analyze", "small.yaml", "--columns", "mcas"], "did you mean 'macs'?"),
        (["analyze", "small.yaml", "--sort", "parms"], "did you mean 'params'?"),
        (["analyze", "small.yaml", "--dtype", "flaot32"], "did you mean 'float32'?"),
        (["analyze", "small.yaml", "--dtype", ""], "unknown dtype ''"),
        (["analyze", "small.yaml", "--dtype", "string"], "unknown dtype 'string'"),
        (["analyze", "small.yaml", "--dtype", "uint8"], "did you mean 'int8'?"),
        (["analyze", "small.yaml", "--columns", ""], "no columns"),
        (["analyze", "small.yaml", "--input", "8,8"], ""),
        (["analyze", "small.yaml", "--input", "8,x,3"], "--input takes H,W,C"),
        (["analyze", "small.yaml", "--input", "?,8,3"], "--input H,W,C"),
        (["analyze", "small.yaml", "--input", "inptu=8,8,3"], "did you mean 'input'?"),
        (["analyze", "small.yaml", "--input", "input=8,8,3", "--input", "8,8,3"], "some have none"),
        (["analyze", "small.yaml", "--set", "x"], "NAME=VALUE"),
        (["analyze", "small.yaml", "--set", "nothing=1"], "nothing"),
        (["analyze", "small.yaml", "--mode", "trainign"], "did you mean 'training'?"),
        (["analyze", "nothing.yaml"], "nothing.yaml"),
        (["analyze", "."], "."),
        (["analyze", "a\x1b[31m\nb.yaml"], "\\x1b"),
        (["analyze", ""], ""),
        (["zoo", "resnet15"], "did you mean 'resnet152'?"),
        (["init", "net.json"], ".yaml"),
    ],
)
def test_usage_errors(folder: Path, arguments: list[str], words: str) -> None:
    assert words in failed(run(folder, *arguments), 2)


def test_a_broken_claim_is_exit_1_in_every_format(folder: Path) -> None:
    for form in ("table", "markdown"):
        done = run(folder, "analyze", "wrong.yaml", "--format", form)
        assert done.returncode == 1 and done.stderr == b"" and b"expected params 7" in done.stdout
    for form in ("json", "csv"):
        done = run(folder, "analyze", "wrong.yaml", "--format", form)
        assert done.returncode == 1 and b"expected params 7" in done.stderr
        assert done.stderr.startswith(b"wrong.yaml:7:")


def test_debug_shows_the_traceback(folder: Path) -> None:
    done = run(folder, "analyze", "nothing.yaml", "--debug")
    assert done.returncode == 2 and b"Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].count(b"error: ") == 1


def test_variables_and_shapes(folder: Path) -> None:
    text = "input: [8, 8, 3]\nvariables: {width: 4, on: true}\nlayers:\n"
    (folder / "v.yaml").write_text(text + "  - Conv2D: [$width, 3]\n  - {Dense: 2, when: $on}\n")
    done = run(folder, "analyze", "v.yaml", "--set", "width=0x10", "--set", "on=false", "--input", "?,?,5",
               "--input", "16,16,5", "--format", "json")  # fmt: skip
    assert done.returncode == 2  # two shapes for one input
    done = run(folder, "analyze", "v.yaml", "--set", "width=0x10", "--set", "on=false", "--input", "16,9,5",
               "--format", "json")  # fmt: skip
    assert [layer["output_shape"] for layer in json.loads(done.stdout)["layers"]] == [[16, 9, 5], [14, 7, 16]]


@pytest.mark.parametrize(
    ("problem", "code", "words"),
    [
        (MemoryError(), 3, "out of memory"),
        (RecursionError("maximum recursion depth"), 2, "nested too deeply"),
        (OSError(5, "Input/output error", "a\nb"), 3, "Input/output error"),
        (ValueError("odd\x1b[31m\nline"), 3, "a fault of cnncost"),
        (cnncost.CnncostError("wrong\x07\nthing"), 2, "wrong"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_failure_is_one_line(
    problem: Exception, code: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from cnncost.cli import app, main

    def fail(_: list[str]) -> int:
        raise problem

    monkeypatch.setattr(app, "_dispatch", fail)
    assert main(["analyze", "x"]) == code
    shown = capsys.readouterr().err
    assert words in shown and shown.count("\n") == 1 and shown[:-1].isprintable()


# -- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "begins"), [("a.json", "{"), ("a.md", "# small"), ("a.csv", "name,"), ("a", "small")])
def test_output_file_takes_its_form_from_its_name(folder: Path, name: str, begins: str) -> None:
    before = set(os.listdir(folder))
    done = run(folder, "analyze", "small.yaml", "-o", name)
    assert done.returncode == 0 and done.stdout == b""
    assert (folder / name).read_text().startswith(begins)
    assert set(os.listdir(folder)) - before == {name}


def test_output_is_a_directory(folder: Path) -> None:
    assert "it is a directory" in failed(run(folder, "analyze", "small.yaml", "-o", "."), 2)


def test_output_directory_does_not_exist(folder: Path) -> None:
    assert "there is no directory" in failed(run(folder, "analyze", "small.yaml", "-o", "no/a.json"), 2)


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_output_directory_is_read_only(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o555)
    assert "Permission denied" in failed(run(folder, "analyze", "small.yaml", "-o", "locked/a.json"), 3)
    assert os.listdir(folder / "locked") == []


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_disk_fills_while_writing(folder: Path) -> None:
    """A limit on the file's size stands for a full disk: no part of the file stays."""
    before = set(os.listdir(folder))
    command = 'ulimit -f 2; exec "$@"'
    done = subprocess.run(["sh", "-c", command, "sh", *CLI, "analyze", "zoo:resnet152", "-o", "x.json"], cwd=folder,
                          capture_output=True, timeout=60)  # fmt: skip
    assert "File too large" in failed(done, 3)
    assert set(os.listdir(folder)) == before


def test_columns_help_needs_no_source(folder: Path) -> None:
    done = run(folder, "analyze", "--columns", "help")
    assert done.returncode == 0 and b"activation_bytes" in done.stdout


def test_a_refused_rename_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnncost.errors import OutsideError
    from cnncost.files import write_whole

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    before = set(os.listdir(folder))
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutsideError, match="Permission denied"):
        write_whole(str(folder / "a.json"), b"{}")
    assert set(os.listdir(folder)) == before


def test_a_failed_command_leaves_the_old_file(folder: Path) -> None:
    (folder / "old.json").write_text("old")
    failed(run(folder, "analyze", "nothing.yaml", "-o", "old.json"), 2)
    assert (folder / "old.json").read_text() == "old"
    os.chmod(folder / "old.json", 0o640)
    assert run(folder, "analyze", "small.yaml", "-o", "old.json").returncode == 0
    assert os.stat(folder / "old.json").st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(folder: Path) -> None:
    (folder / "target.json").write_text("old")
    (folder / "link.json").symlink_to("target.json")
    assert run(folder, "analyze", "small.yaml", "-o", "link.json").returncode == 0
    assert (folder / "link.json").is_symlink() and (folder / "target.json").read_text().startswith("{")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["analyze", "small.yaml"], ["zoo"], ["--version"], ["--help"]])
def test_full_disk(folder: Path, arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*CLI, *arguments], cwd=folder, stdout=full, stderr=subprocess.PIPE, timeout=60)
    message = done.stderr.decode()
    assert done.returncode == 3 and message.count("\n") == 1 and "No space left" in message


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_under_the_output_file(folder: Path) -> None:
    assert "No space left" in failed(run(folder, "analyze", "small.yaml", "-o", "/dev/full"), 3)


def test_init(folder: Path) -> None:
    assert run(folder, "init", "net.yaml").returncode == 0
    done = run(folder, "analyze", "net.yaml")
    assert done.returncode == 0, done.stderr + done.stdout
    (folder / "net.yaml").write_text("mine")
    assert "--force" in failed(run(folder, "init", "net.yaml"), 2)
    assert (folder / "net.yaml").read_text() == "mine"
    assert run(folder, "init", "net.yaml", "--force").returncode == 0


def test_init_names_the_packaged_schema(folder: Path, golden: Callable[[Path, str], None]) -> None:
    run(folder, "init", "net.yaml")
    modeline = (folder / "net.yaml").read_text().splitlines()[0]
    path = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", modeline)
    assert path
    golden(Path(path[1]), run(folder, "schema").stdout.decode())


def test_zoo(folder: Path) -> None:
    specs = json.loads(run(folder, "zoo", "--format", "json").stdout)["specs"]
    listed = run(folder, "zoo").stdout.decode()
    assert len(specs) >= 21
    assert all(spec["name"] in listed and spec["description"] in listed for spec in specs)
    text = run(folder, "zoo", "resnet152").stdout.decode()
    assert text == (Path(cnncost.__file__).parent / "zoo" / "resnet152.yaml").read_text()


def test_explain(folder: Path) -> None:
    done = run(folder, "explain", "zoo:memory-example", "--batch", "100", "conv")
    assert done.returncode == 0 and "= 225,000,000" in done.stdout.decode()
    assert "did you mean 'conv'" in failed(run(folder, "explain", "zoo:memory-example", "cnov"), 2)


def test_explain_shows_broken_claims(folder: Path) -> None:
    done = run(folder, "explain", "wrong.yaml", "dense")
    assert done.returncode == 1 and done.stdout and b"expected params 7" in done.stderr


def test_export_json_costs_the_same(folder: Path) -> None:
    assert run(folder, "export", "zoo:unet", "-o", "unet.json").returncode == 0
    one, other = (json.loads(run(folder, "analyze", s, "--format", "json").stdout) for s in ("zoo:unet", "unet.json"))
    assert one["totals"] == other["totals"]


# -- streams ------------------------------------------------------------------------------------------------------


def test_reader_that_leaves(folder: Path) -> None:
    """``| head -1``: quiet, and the exit code is the analysis's."""
    for source, code in (("zoo:resnet152", 0), ("wrong.yaml", 1)):
        child = subprocess.Popen([*CLI, "analyze", source], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout and child.stderr
        child.stdout.close()
        assert child.wait(60) == code
        assert child.stderr.read() == b""
        child.stderr.close()


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_closed_stdout(folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *CLI, "analyze", "small.yaml"], cwd=folder, capture_output=True
    )
    assert done.returncode == 3 and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("env", "sign"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "8×8×3"),
        ({"LC_ALL": "C"}, "8×8×3"),
        ({"PYTHONIOENCODING": "ascii"}, "8x8x3"),
        ({"PYTHONIOENCODING": "latin-1"}, "8×8×3"),
    ],
)
def test_any_locale(folder: Path, env: dict[str, str], sign: str) -> None:
    done = run(folder, "analyze", "small.yaml", env=env)
    encoding = env.get("PYTHONIOENCODING", "utf-8")
    assert done.returncode == 0 and sign in done.stdout.decode(encoding)
    data = run(folder, "analyze", "small.yaml", "--format", "json", env=env)
    assert json.loads(data.stdout.decode("utf-8"))["model"] == "small"


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_interrupt(folder: Path) -> None:
    (folder / "slow.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(30)\n")
    child = subprocess.Popen(
        [*CLI, "analyze", "slow:model"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(folder)},
    )  # fmt: skip
    assert child.stdout and child.stderr
    line = child.stderr.readline()  # what the user's code prints goes there
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, error = child.communicate(timeout=30)
    assert line == b"ready\n" and child.returncode == 130
    assert error.decode().strip().splitlines()[-1] == "error: interrupted" and b"Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [["analyze", "zoo:resnet152"], ["analyze", "small.yaml", "--format", "json"], ["explain", "small.yaml"], ["zoo"],
     ["schema"], ["--version"]],
    ids=" ".join,
)  # fmt: skip
def test_static_commands_load_nothing_heavy(folder: Path, arguments: list[str]) -> None:
    heavy = ["numpy", "pandas", "matplotlib", "tensorflow", "keras", "h5py", "tf_keras"]
    code = (
        "import sys, cnncost\nfrom cnncost.cli import main\n"
        f"code = main({arguments!r})\n"
        f"found = [name for name in {heavy!r} if name in sys.modules]\n"
        "sys.exit(f'loaded {found}' if found else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def test_version_loads_next_to_nothing() -> None:
    code = (
        f"import sys\nsys.path[:0] = {sys.path!r}\nfrom cnncost.cli import main\nmain(['--version'])\n"
        "sys.exit(str([n for n in ('argparse', 'typing', 'yaml', 'json', 're') if n in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=60)
    assert done.stderr.strip() == b"", done.stderr.decode()
