"""Every format against its own rules, with names that try to be something else."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from cnncost.budgets.blame import Blamed
from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import FORMATS, render
from cnncost.budgets.formats import markdown as markdown_format
from cnncost.budgets.limits import Conditions
from cnncost.errors import CnncostError, Location, printable

HOSTILE = "a\n::error::b%0A,c:d]]>|`<script>&\x1b[31m\x00\u202e é😀\udcff"
PLACE = Location(f"dir/{HOSTILE}.yaml", 3, 7)
GOOD = Result("net", "net.yaml", "params", 90, 100, "max", True, "error", "count", location=Location("net.yaml", 1, 2))
BAD = Result(
    HOSTILE, f"dir/{HOSTILE}.yaml", "layer.macs", 120, 100, "max", False, "error", "count", Conditions(8), "100",
    HOSTILE, PLACE, HOSTILE, None, (Blamed(HOSTILE, 120, PLACE),),
)  # fmt: skip
WARNED = replace(BAD, level="warning", source="warned.yaml")
UNKNOWN = Result("x", "x.yaml", "", None, None, "", False, "error", problem=f"no such file {HOSTILE}")
GROWN = replace(GOOD, bound="growth", baseline=80, note="'net.yaml' has changed since its baseline was written")
ALL = [GOOD, BAD, WARNED, UNKNOWN, GROWN]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("results", [[], [GOOD], ALL])
def test_every_format_is_text_that_can_be_written(form: str, results: list[Result]) -> None:
    text = render(results, form)
    assert text.endswith("\n") and not text.endswith("\n\n")
    data = text.encode("utf-8", "backslashreplace")
    if form in ("text", "markdown", "github"):
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data), "no control character reaches a terminal or a log"
        assert "\u202e" not in text


def test_an_unknown_format() -> None:
    with pytest.raises(CnncostError, match="did you mean 'junit'"):
        render([], "junt")


def test_json_has_what_is_promised() -> None:
    data = json.loads(render(ALL, "json"))
    assert data["schema"] == "cnncost/check/1" and data["ok"] is False and len(data["results"]) == len(ALL)
    promised = {"model", "metric", "value", "limit", "ok", "level", "location"}
    assert all(promised <= set(row) for row in data["results"])
    assert json.loads(render([GOOD, WARNED], "json"))["ok"] is True
    assert json.loads(render([GOOD, WARNED], "json", strict=True))["ok"] is False
    assert json.loads(render([], "json"))["ok"] is False, "a gate never passes by default"


# -- GitHub ----------------------------------------------------------------------------------------------------------


def commands(text: str) -> list[tuple[str, dict[str, str], str]]:
    """The workflow commands of a log, as the runner reads them."""
    found = []
    for line in text.split("\n"):
        match = re.match(r"::(\w+) ([^:]*)::(.*)$", line)
        if match:
            pairs = dict(part.split("=", 1) for part in match[2].split(",")) if match[2] else {}
            found.append((match[1], {k: unescaped(v) for k, v in pairs.items()}, unescaped(match[3])))
        else:
            assert "::" not in line[:2]
    return found


def unescaped(text: str) -> str:
    for sign, code in ((":", "%3A"), (",", "%2C"), ("\r", "%0D"), ("\n", "%0A"), ("%", "%25")):
        text = text.replace(code, sign)
    return text


def test_github_annotations_survive_hostile_names() -> None:
    found = commands(render(ALL, "github"))
    assert [level for level, _, _ in found] == ["error", "error", "warning", "notice"]
    _, parts, message = found[0]
    assert parts["file"] == printable(PLACE.file, 999) and (parts["line"], parts["col"]) == ("3", "7")
    assert message.startswith("macs of layer 'a\\n::error::b%0A,c:d]]>|`<script>&") and "\nto allow it: " in message


def test_github_shows_ten_of_each_level() -> None:
    found = commands(render([BAD] * 25 + [WARNED] * 10, "github"))
    errors = [message for level, _, message in found if level == "error"]
    assert len(errors) == 10 and errors[-1].startswith("16 more")
    assert sum(level == "warning" for level, _, _ in found) == 10
    assert len([1 for level, *_ in commands(render([BAD] * 10, "github")) if level == "error"]) == 10


# -- GitLab ----------------------------------------------------------------------------------------------------------


def test_gitlab_has_the_required_fields() -> None:
    issues = json.loads(render(ALL, "gitlab"))
    assert len(issues) == 3, "what holds is no issue"
    for issue in issues:
        assert isinstance(issue["description"], str) and isinstance(issue["check_name"], str)
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["path"] and not issue["location"]["path"].startswith("./")
        assert isinstance(issue["location"]["lines"]["begin"], int)
    prints = [issue["fingerprint"] for issue in issues]
    assert len(set(prints)) == len(prints) and all(re.fullmatch("[0-9a-f]{64}", one) for one in prints)
    worse = json.loads(render([replace(BAD, value=999)], "gitlab"))[0]
    assert worse["fingerprint"] == issues[0]["fingerprint"], "the same issue while it grows"


# -- JUnit: the rules of the schema of Jenkins's xUnit plugin (junit-10.xsd) ------------------------------------------

CHILDREN = {
    "testsuites": {"testsuite"}, "testsuite": {"testcase", "properties", "system-out", "system-err", "testsuite"},
    "testcase": {"failure", "error", "skipped", "system-out", "system-err"},
    "failure": set(), "error": set(), "system-out": set(),
}  # fmt: skip
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id",
                  "package", "file", "log", "url"},
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"}, "error": {"type", "message"}, "system-out": set(),
}  # fmt: skip
TIME = re.compile(r"(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?")


def test_junit_follows_the_schema_that_ci_reads() -> None:
    pytest.importorskip("junitparser")
    root = ET.fromstring(render(ALL, "junit").encode("utf-8", "backslashreplace"))
    assert root.tag == "testsuites"
    for node in root.iter():
        assert {child.tag for child in node} <= CHILDREN[node.tag]
        assert REQUIRED.get(node.tag, set()) <= set(node.attrib) <= ALLOWED[node.tag]
        assert TIME.fullmatch(node.get("time", "0"))
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "1", "1")
    for suite in root:
        assert int(suite.get("tests", "")) == len(suite)
        for word in ("failure", "error"):
            assert int(suite.get(f"{word}s", "")) == len(suite.findall(f"testcase/{word}"))
    assert "to allow it: " in (root.findtext("testsuite/testcase/failure") or "")


# -- SARIF 2.1.0: what the standard requires, and what code scanning reads ---------------------------------------------


def test_sarif_has_the_required_properties() -> None:
    log = json.loads(render(ALL, "sarif"))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json") and len(log["runs"]) == 1
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "cnncost" and re.match(r"\d+\.\d+\.\d+", driver["semanticVersion"])
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(rules) == len(set(rules)) and all(rule["shortDescription"]["text"] for rule in driver["rules"])
    assert len(run["results"]) == 3
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"] and result["level"] in (
            "error",
            "warning",
            "note",
            "none",
        )
        assert result["message"]["text"]
        for place in [*result.get("locations", []), *result.get("relatedLocations", [])]:
            uri = place["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", uri), "a URI reference"
            assert place["physicalLocation"]["region"]["startLine"] >= 1
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri, errors="surrogateescape") == PLACE.file
    assert [related["id"] for related in run["results"][0]["relatedLocations"]] == [0]


# -- Markdown --------------------------------------------------------------------------------------------------------


def table_rows(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.startswith("| ") and "| model |" not in line]


@pytest.mark.parametrize("count", [1, 60, 3000])
def test_markdown_fits_a_comment(count: int) -> None:
    long = replace(BAD, model="é|" * 400, why="x`" * 400, blame=BAD.blame * 3)
    text = render([long] * count, "markdown")
    assert len(text.encode("utf-8", "backslashreplace")) <= markdown_format.LIMIT
    rows = table_rows(text)
    left = re.search(r"([\d,]+) of [\d,]+ rows are left out", text)
    assert len(rows) + (int(left[1].replace(",", "")) if left else 0) == count
    told = len(re.findall(r"^- \*\*error", text, re.M))
    more = re.search(r"- ([\d,]+) more do not hold", text)
    assert told + (int(more[1].replace(",", "")) if more else 0) == count
    assert text.endswith("</details>\n")


def test_markdown_cells_and_tags_are_text() -> None:
    text = render(ALL, "markdown")
    assert "<script" not in text
    rows = table_rows(text)
    assert len(rows) == len(ALL) and all(len(re.findall(r"(?<!\\)\|", row)) == 8 for row in rows)
    assert text.startswith("## ❌") and render([GOOD], "markdown").startswith("## ✅")
    assert render([], "markdown").startswith("## ❌")


# -- Text ------------------------------------------------------------------------------------------------------------


def test_text_says_limit_value_excess_blame_and_remedy() -> None:
    text = render([replace(BAD, model="net", layer="conv", why="the device", location=Location("b.yaml", 3, 7),
                           blame=(Blamed("conv", 120, Location("net.yaml", 4, 5)),))], "text")  # fmt: skip
    for words in ("b.yaml:3:7: error: macs of layer 'conv' of 'net' is 120", "≤ 100", "20, 20.0 % over", "batch 8",
                  "the limit's reason: the device", "'conv' 120 at net.yaml:4:5",
                  "to allow it: write 120 at b.yaml:3:7", "1 limit of 1 model: 1 beyond"):  # fmt: skip
        assert words in text, text


def test_text_notes_a_source_that_has_changed() -> None:
    assert "info: 'net.yaml' has changed" in render([GROWN], "text")
    assert "\x1b" not in render(ALL, "text") and "\x1b[32m" in render([GOOD], "text", color=True)


def test_what_cannot_be_read_is_said_once() -> None:
    many: list[Any] = [replace(UNKNOWN, metric=name) for name in ("params", "macs", "flops")]
    assert render(many, "text").count("could not be checked: no such file") == 1
    assert len(json.loads(render(many, "json"))["results"]) == 3
