"""Speed and memory as ratios measured in one run; writes the table of docs/performance.md.

    python benchmarks/run.py [--runs 5] [--write]

Every figure is the median over ``--runs`` whole child processes (CPU is user + system time, memory the peak resident
set, both as the operating system accounts them), the compared commands in turn. Needs the tensorflow extra for Keras.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLI = [sys.executable, "-m", "cnncost"]
MAKE = "import keras; keras.applications.ResNet152(weights=None).save({path!r})"
LOAD = "import keras; keras.models.load_model({path!r}).summary()"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}
IN_PROCESS = """
import time, statistics, cnncost
cnncost.analyze("zoo:resnet152")
times = []
for _ in range(15):
    start = time.process_time(); cnncost.analyze("zoo:resnet152"); times.append(time.process_time() - start)
print(statistics.median(times))
"""
STEP = """
import sys, time, cnncost
from cnncost.memory.predict import predict
analysis = cnncost.analyze("zoo:resnet152", batch=4)
times = []
for _ in range(6):  # the first one loads the modules
    start = time.process_time(); predict(analysis, "training", sys.argv[1]); times.append(time.process_time() - start)
print(times[0], sorted(times[1:])[2])
"""


def environment() -> dict[str, str]:
    """Both sides as installed: compiled bytecode is kept between runs, as pip leaves it."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | QUIET


def measure(command: list[str]) -> tuple[float, float]:
    """(CPU seconds, peak MiB) of one finished child."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment())
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} failed with exit code {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def medians(commands: dict[str, list[str]], runs: int) -> dict[str, tuple[float, float]]:
    """Median CPU and memory of each command, run in turn after one warm-up."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for run in range(runs + 1):
        for name, command in commands.items():
            figure = measure(command)
            if run:
                seen[name].append(figure)
    return {
        name: (statistics.median(cpu for cpu, _ in figures), statistics.median(mib for _, mib in figures))
        for name, figures in seen.items()
    }


def chain(layers: int, folder: str) -> str:
    """A spec of ``layers`` different layers, written out one by one."""
    path = Path(folder) / f"chain-{layers}.yaml"
    lines = ["name: chain", "input: [64, 64, 16]", "layers:"]
    lines += [f"  - Conv2D: {{filters: {16 + i % 8}, kernel_size: 3, padding: same}}" for i in range(layers)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = report(folder, options.runs)
    print(text)
    if options.write:
        (HERE.parent / "docs" / "performance.md").write_text(text)


def report(folder: str, runs: int) -> str:
    model = os.path.join(folder, "resnet152.keras")
    measure([sys.executable, "-c", MAKE.format(path=model)])
    ours, theirs, bare, start = "cnncost", "keras", "python", "version"
    found = medians({bare: [sys.executable, "-c", "pass"], start: [*CLI, "--version"]}, 3 * runs)
    found |= medians(
        {ours: [*CLI, "analyze", "zoo:resnet152"], theirs: [sys.executable, "-c", LOAD.format(path=model)]}, runs
    )
    sizes = (2_000, 5_000, 10_000, 20_000, 40_000)
    linear = medians(
        {str(n): [*CLI, "analyze", chain(n, folder), "--format", "json"] for n in sizes}, max(runs // 2, 1)
    )
    one = float(subprocess.run([sys.executable, "-c", IN_PROCESS], capture_output=True, text=True, check=True).stdout)
    steps = {optimizer: simulated(optimizer, runs) for optimizer in ("sgd", "adam")}
    return render(found, {n: linear[str(n)] for n in sizes}, one, steps, runs)


def simulated(optimizer: str, runs: int) -> tuple[float, float]:
    """Median CPU seconds of a simulated ResNet-152 training step, in a fresh process and in a warm one."""
    times = []
    for _ in range(runs):
        command = [sys.executable, "-c", STEP, optimizer]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        times.append([float(word) for word in done.stdout.split()])
    return statistics.median(fresh for fresh, _ in times), statistics.median(warm for _, warm in times)


def render(
    found: dict[str, tuple[float, float]], linear: dict[int, tuple[float, float]], one: float,
    steps: dict[str, tuple[float, float]], runs: int,
) -> str:  # fmt: skip
    (cpu, mib), (keras_cpu, keras_mib) = found["cnncost"], found["keras"]
    (start_cpu, start_mib), (bare_cpu, bare_mib) = found["version"], found["python"]
    from importlib.metadata import version

    stepped = "\n".join(
        f"| a simulated ResNet-152 training step with {name}, fresh process; warm (CPU) | {fresh:.2f} s; {warm:.2f} s "
        "| | | under 0.3 s |"
        for name, (fresh, warm) in steps.items()
    )
    rows = "\n".join(f"| {n:,} | {c:.2f} | {1e6 * c / n:.0f} | {m:.0f} |" for n, (c, m) in linear.items())
    return f"""# Performance

Written by `python benchmarks/run.py --write` on {time.strftime("%Y-%m-%d")}: {platform.python_implementation()} {platform.python_version()},
TensorFlow {version("tensorflow-cpu")}, Keras {version("keras")}, {os.cpu_count()} CPUs ({platform.machine()}). Medians of {runs} runs in turn; whole processes; CPU is user + system time, memory the
peak resident set. Absolute times belong to the machine; the ratios are what is claimed.

| what | cnncost | compared with | ratio | goal |
|---|---|---|---|---|
| CPU, `cnncost analyze zoo:resnet152` against Keras's `load_model` + `summary()` | {cpu:.3f} s | {keras_cpu:.2f} s | **{keras_cpu / cpu:.0f} times less** | 40 |
| peak memory of the same | {mib:.1f} MiB | {keras_mib:.0f} MiB | **{keras_mib / mib:.0f} times less** | 20 |
| CPU of a start (`cnncost --version`) against a bare interpreter | {start_cpu * 1e3:.0f} ms | {bare_cpu * 1e3:.0f} ms | **{start_cpu / bare_cpu:.1f} times** | at most 15 |
| peak memory of a start | {start_mib:.1f} MiB | {bare_mib:.1f} MiB | {start_mib / bare_mib:.1f} times | under 45 MiB |
| one analysis of ResNet-152 inside a process (CPU) | {one * 1e3:.0f} ms | | {1 / one:.0f} a second | under 100 ms |
{stepped}

## Time against layers
A spec of that many convolutions written out one by one, `analyze --format json`:

| layers | CPU, s | µs a layer | peak MiB |
|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    main()
