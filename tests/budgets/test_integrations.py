"""The shipped integrations, run as far as they can be here: action, hook, GitLab template, example, the zoo."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parent.parent.parent
EXAMPLE = TOP / "examples" / "project"
RUN = TOP / "integrations" / "github" / "run.sh"
pytestmark = [pytest.mark.cli, pytest.mark.skipif(not shutil.which("git"), reason="needs git")]
SPEC = "name: small\ninput: [8, 8, 3]\nlayers: [Conv2D: [4, 3], Flatten, Dense: 10]\nbudgets: {params: 2k}\n"


def cnncost(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "cnncost", *arguments], cwd=folder, env=environment(), text=True,
                          capture_output=True, timeout=120)  # fmt: skip


def environment(**more: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "INPUT_", "GIT_"))}
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return clean | {"PYTHONPATH": str(TOP)} | identity | more


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, env=environment(), timeout=60)


# -- the example and the zoo -----------------------------------------------------------------------------------------


def test_the_example_is_within_its_budget() -> None:
    done = cnncost(EXAMPLE, "check", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cnncost(EXAMPLE, "baseline", "diff").returncode in (0, 1)


def test_the_examples_own_tests_pass() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "cnncost.plugin", "-c", os.devnull,
         "--rootdir", ".", "tests", "--cnncost-budget", "cnncost-budget.yaml"],
        cwd=EXAMPLE, text=True, capture_output=True, timeout=120,
        env=environment(PYTHONDONTWRITEBYTECODE="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
    )  # fmt: skip
    assert done.returncode == 0 and "17 passed" in done.stdout, done.stdout + done.stderr


def test_the_zoo_is_within_its_budget() -> None:
    """What analysis counts is held exactly; `cnncost baseline update` accepts a change on purpose."""
    done = cnncost(TOP, "check", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    from cnncost.sources import zoo

    records = json.loads((TOP / "cnncost-baseline.json").read_text())["models"]
    assert {key.split(" [")[0] for key in records} == {f"zoo:{name}" for name in zoo.names()}


def test_the_zoos_budget_bites(tmp_path: Path) -> None:
    text = (TOP / "cnncost-baseline.json").read_text()
    assert '"params": 60840' in text
    (tmp_path / "cnncost-baseline.json").write_text(text.replace('"params": 60840', '"params": 60839'))
    shutil.copy(TOP / "cnncost-budget.yaml", tmp_path)
    done = cnncost(tmp_path, "check", "--format", "json")
    bad = [row for row in json.loads(done.stdout)["results"] if not row["ok"]]
    assert done.returncode == 1
    assert {(row["source"], row["metric"], row["excess"]) for row in bad} == {("zoo:lenet5-1998", "params", 1)}


# -- the GitHub action -----------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone whose branch has changed a model since origin's main."""
    origin, here = tmp_path / "origin", tmp_path / "here"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "small.yaml").write_text(SPEC)
    git(origin, "add", ".")
    git(origin, "commit", "-q", "-m", "one")
    git(tmp_path, "clone", "-q", str(origin), "here")
    (here / "small.yaml").write_text(SPEC.replace("[4, 3]", "[5, 3]"))
    (here / "new.yaml").write_text(SPEC)
    return here


FAKE_GH = """\
#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$GH_LOG"
[[ ${GH_FAILS:-} ]] && exit 1
case "$*" in
  *--paginate*) printf '%s' "${GH_FOUND:-}" ;;
  *) for word in "$@"; do [[ $word == body=@* ]] && cp "${word#body=@}" "$GH_LOG.body"; done ;;
esac
exit 0
"""


def act(repository: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Run the action's script with a `gh` that only takes notes, and this checkout's cnncost."""
    tools = repository.parent / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "gh").write_text(FAKE_GH)
    (tools / "cnncost").write_text(f'#!/usr/bin/env bash\nexec "{sys.executable}" -m cnncost "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    summary = repository.parent / "summary.md"
    summary.write_text("")
    env = environment(
        PATH=f"{tools}{os.pathsep}{os.environ['PATH']}", GITHUB_STEP_SUMMARY=str(summary), GITHUB_REPOSITORY="o/r",
        GH_LOG=str(repository.parent / "gh.log"), **inputs,
    )  # fmt: skip
    done = subprocess.run(["bash", str(RUN)], cwd=repository, env=env, text=True, capture_output=True, timeout=120)
    return done, summary


def test_the_action_checks_compares_and_comments(repository: Path) -> None:
    done, summary = act(repository, INPUT_FILES="small.yaml new.yaml", INPUT_BASE="main", INPUT_COMMENT="true",
                        PULL_REQUEST="7", GH_TOKEN="t", INPUT_OUTPUTS="junit=b.xml sarif=b.sarif")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    log, body = repository.parent / "gh.log", repository.parent / "gh.log.body"
    assert "--method POST repos/o/r/issues/7/comments" in log.read_text()
    for text in (body.read_text(), summary.read_text()):
        assert "Budgets: 2 limits of 2 models: all hold" in text
        assert "new.yaml new since the base branch" in text and "small.yaml has changed" in text
    assert body.read_text().startswith("<!-- cnncost: budgets -->\n")
    assert (repository / "b.xml").is_file() and json.loads((repository / "b.sarif").read_text())["version"] == "2.1.0"


def test_the_action_updates_its_one_comment(repository: Path) -> None:
    act(repository, INPUT_FILES="small.yaml", INPUT_COMMENT="true", PULL_REQUEST="7", GH_TOKEN="t", GH_FOUND="42")
    log = (repository.parent / "gh.log").read_text()
    assert "--method PATCH repos/o/r/issues/comments/42" in log and "POST" not in log


def test_the_action_fails_by_the_check_alone(repository: Path) -> None:
    (repository / "small.yaml").write_text(SPEC.replace("2k", "1k"))
    done, summary = act(repository, INPUT_FILES="small.yaml", INPUT_BASE="none", INPUT_COMMENT="true", PULL_REQUEST="7",
                        GH_TOKEN="t", GH_FAILS="1")  # fmt: skip
    assert done.returncode == 1
    assert "::error file=small.yaml,line=4,col=19," in done.stdout and "562" in done.stdout
    assert (
        "::warning title=cnncost::no comparison" in done.stdout
        and "::warning title=cnncost::cannot comm" in done.stdout
    )
    assert "1 beyond" in summary.read_text(), "the summary needs no token"
    again, _ = act(repository, INPUT_FILES="small.yaml", INPUT_REPORT_ONLY="true")
    assert again.returncode == 0
    broken, _ = act(repository, INPUT_FILES="gone.yaml")
    assert broken.returncode == 2


def test_nothing_that_is_given_is_read_as_shell(repository: Path) -> None:
    hostile = "$(touch${IFS}hacked);`touch${IFS}hacked2` --version"
    done, _ = act(repository, INPUT_FILES=hostile, INPUT_BASE="$(touch hacked3)", INPUT_BUDGET="; touch hacked4")
    assert done.returncode == 2 and not list(repository.glob("hacked*"))


def workflow(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_actions_description() -> None:
    action = workflow(TOP / "action.yml")
    assert action["runs"]["using"] == "composite"
    steps = action["runs"]["steps"]
    assert all("shell" in step for step in steps if "run" in step)
    used = {name for step in steps for name in re.findall(r"inputs\.([a-z-]+)", json.dumps(step))}
    assert used == set(action["inputs"]), "every input is used"
    assert all("${{" not in step.get("run", "") for step in steps), "inputs reach shells as variables alone"
    script = RUN.read_text()
    given = {name for step in steps for name in step.get("env", {}) if name.startswith("INPUT_")}
    assert given == set(re.findall(r"INPUT_[A-Z_]+", script))
    assert set(workflow(EXAMPLE / ".github/workflows/budgets.yml")["jobs"]["budgets"]["steps"][1]["with"]) <= set(
        action["inputs"]
    )


def test_the_hook() -> None:
    (hook,) = workflow(TOP / ".pre-commit-hooks.yaml")
    assert hook["id"] == "cnncost-check" == workflow(EXAMPLE / ".pre-commit-config.yaml")["repos"][0]["hooks"][0]["id"]
    assert hook["entry"].split() == ["cnncost", "check"] and hook["pass_filenames"] is False
    wanted = ("a.yaml", "x/a.yml", "a.keras", "a.h5", "pyproject.toml", "x/pyproject.toml", "net.json")
    assert all(re.search(hook["files"], name) for name in wanted)
    assert not any(re.search(hook["files"], name) for name in ("a.py", "README.md", "mypyproject.toml"))


def test_the_gitlab_template(tmp_path: Path) -> None:
    job = workflow(TOP / "integrations/gitlab/cnncost.gitlab-ci.yml")[".cnncost"]
    (tmp_path / "small.yaml").write_text(SPEC.replace("2k", "1k"))
    command = job["script"][1].replace("cnncost check", f'"{sys.executable}" -m cnncost check')
    env = environment(CNNCOST_FILES="small.yaml", CNNCOST_OPTIONS="")
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, timeout=60)
    assert done.returncode == 1
    quality = json.loads((tmp_path / job["artifacts"]["reports"]["codequality"]).read_text())
    assert [issue["check_name"] for issue in quality] == ["cnncost/params"]
    assert (tmp_path / job["artifacts"]["reports"]["junit"]).is_file() and job["artifacts"]["when"] == "always"
    assert workflow(EXAMPLE / ".gitlab-ci.yml")["cnncost"]["extends"] == ".cnncost"
