"""What the pytest plugin adds to the start of every pytest run: medians of CPU time, in turn with and without it.

    python benchmarks/pytest_plugin.py [RUNS]

The goal is less than 20 ms. The plugin itself imports nothing but pytest, which is there already.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile

IMPORT = "import pytest, time; t = time.perf_counter(); import cnncost.plugin; print(time.perf_counter() - t)"
GOAL = 0.020  # seconds


def spent(command: list[str], folder: str) -> float:
    """CPU seconds of a process, user and system."""
    before = os.times()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main(runs: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "test_one.py"), "w", encoding="utf-8") as stream:
            stream.write("def test_one():\n    pass\n")
        base = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_one.py"]
        pairs = []
        for _ in range(runs):
            pairs.append((spent([*base, "-p", "no:cnncost"], folder), spent([*base, "-p", "cnncost.plugin"], folder)))
        alone = [
            float(subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True).stdout)
            for _ in range(runs)
        ]
    without, with_it = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"pytest of one test, CPU, median of {runs}: {1000 * without:.0f} ms without the plugin, "
          f"{1000 * with_it:.0f} ms with it; importing it: {1000 * statistics.median(alone):.1f} ms")  # fmt: skip
    return int(with_it - without > GOAL)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
