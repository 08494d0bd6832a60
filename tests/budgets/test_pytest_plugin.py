"""The pytest plugin: marks, fixture, items of a budget file, and what it loads."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

from cnncost import assert_within

pytest_plugins = ["pytester"]
SPEC = "name: small\ninput: [8, 8, 3]\nlayers: [Conv2D: [4, 3], Flatten, Dense: 10]\n"


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """All that a check loads, before pytester takes its picture of the modules: extension modules load only once."""
    assert_within("zoo:lenet5-1998", params="61k", inference_peak="1 GiB")


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "small.yaml").write_text(SPEC)
    return pytester


def run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """In this process: cnncost is loaded already, and a child would cost a second."""
    registered = any(point.value == "cnncost.plugin" for point in importlib.metadata.entry_points(group="pytest11"))
    plugin = () if registered else ("-p", "cnncost.plugin")
    return project.runpytest_inprocess(*plugin, "-p", "no:cacheprovider", *arguments)


def test_a_mark_is_checked_before_the_test(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest

        @pytest.mark.cnncost(model="small.yaml", params="1.6k", activations={"max": "8 KiB"}, batch=2)
        def test_holds(): pass

        @pytest.mark.cnncost("small.yaml", params="1k")
        def test_exceeds(): raise SystemError("the body runs")

        @pytest.mark.cnncost(model="small.yaml", params="2k")
        @pytest.mark.cnncost(model="small.yaml", macs=1)
        def test_of_two_marks_both_hold(): pass

        @pytest.mark.cnncost(params=3)
        def test_without_model(): pass

        @pytest.mark.cnncost(model="small.yaml", parms=3)
        def test_typo(): pass

        @pytest.mark.cnncost(model="smal.yaml", params=3)
        def test_no_file(): pass
    """)
    done = run(project)
    done.assert_outcomes(passed=1, errors=5)
    text = done.stdout.str()
    assert "params of 'small' is 1,562 (1.56k); the limit is ≤ 1,000 (1.00k): 562, 56.2 % over" in text
    assert "most of it: 'dense' 1,450" in text and "to allow it: write 1.57k" in text
    assert "names no model: write model=" in text and "did you mean 'params'?" in text and "the body runs" not in text
    assert "macs of 'small' is 5,328" in text and "could not be checked: no such file" in text
    assert "Traceback" not in text and "evaluate.py" not in text


def test_the_mark_is_known(project: pytest.Pytester) -> None:
    project.makepyfile("import pytest\n@pytest.mark.cnncost(model='small.yaml', params='2k')\ndef test(): pass\n")
    run(project, "--strict-markers").assert_outcomes(passed=1)
    assert "cnncost(model, **limits)" in run(project, "--markers").stdout.str()


def test_the_fixture_analyzes(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import pytest

        def test_named(cnncost_report):
            assert cnncost_report("small.yaml", batch=3).batch == 3

        @pytest.mark.cnncost(model="small.yaml", params="2k", batch=8)
        def test_of_the_mark(cnncost_report):
            assert cnncost_report().batch == 8 and cnncost_report().totals.params == 1562

        def test_of_nothing(cnncost_report):
            cnncost_report()
    """)
    done = run(project)
    done.assert_outcomes(passed=2, failed=1)
    assert "needs a model" in done.stdout.str()


BUDGET = """\
models:
  small.yaml:
    params: {max: 1k, why: "the device"}
    macs: {max: 6k, warn: 5k}
    weights: {growth: 0%}
  none/*.yaml: {params: 3}
"""


def test_a_budget_file_is_collected(project: pytest.Pytester) -> None:
    (project.path / "cnncost-budget.yaml").write_text(BUDGET)
    project.makepyfile("def test_other(): pass")
    done = run(project, "--cnncost-budget", "cnncost-budget.yaml", "-v")
    done.assert_outcomes(passed=3, failed=3, warnings=1)
    text = done.stdout.str()
    for words in ("cnncost-budget.yaml:3:19: params of 'small' is 1,562", "the limit's reason: the device",
                  "'none/*.yaml' matches no model", "there is no baseline 'cnncost-baseline.json'",
                  "macs of 'small' is 5,328", "collected 6 items",
                  "FAILED cnncost-budget.yaml::small.yaml::params max [batch 1]"):  # fmt: skip
        assert words in text, words
    only = run(project, "--cnncost-budget", "cnncost-budget.yaml", "-v", "-k", "macs and warn")
    only.assert_outcomes(passed=1, deselected=5, warnings=1)


def test_a_wrong_budget_file_stops_the_run(project: pytest.Pytester) -> None:
    (project.path / "cnncost-budget.yaml").write_text("models: {small.yaml: {prams: 3}}\n")
    done = run(project, "--cnncost-budget", "cnncost-budget.yaml")
    assert done.ret == pytest.ExitCode.INTERRUPTED
    assert "cnncost-budget.yaml:1:23: error: there is no figure 'prams'" in done.stdout.str()
    assert "plugin.py" not in done.stdout.str()
    assert run(project, "--cnncost-budget", "none.yaml").ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.cli
def test_the_plugin_loads_nothing_by_itself() -> None:
    """Not the analysis, and no framework: only the plugin's own module and the package's head."""
    code = """
import sys, cnncost.plugin
own = sorted(name for name in sys.modules if name.split(".")[0] == "cnncost")
foreign = sorted({"tensorflow", "keras", "numpy", "yaml", "pandas", "junitparser"} & set(sys.modules))
print(own, foreign)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['cnncost', 'cnncost.plugin'] []"


@pytest.mark.cli
def test_a_checked_spec_needs_no_framework() -> None:
    code = """
import sys, cnncost
cnncost.assert_within("zoo:lenet5-1998", params="61k", training_peak="4 MiB")
print(sorted({"tensorflow", "keras", "numpy", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
