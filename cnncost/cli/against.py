"""Files beside themselves at a commit: ``cnncost diff --against REF FILE…``."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cnncost.difference import Difference, difference
from cnncost.errors import CnncostError, OutsideError, printable
from cnncost.escaping import escaped

SCHEMA = "cnncost/diff-against/1"
SECONDS = 60  # for one question to git
LIMIT = 65_000  # bytes of Markdown: a comment on GitHub holds 65,536 characters
ADDED, REMOVED, SAME, CHANGED, UNREADABLE = "added", "removed", "same", "changed", "unreadable"
Analyzer = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Pair:
    """One file then and now."""

    file: str
    change: str
    found: Difference | None = None
    totals: dict[str, int] | None = None  # of a file that is new
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {"file": self.file, "change": self.change, "problem": self.problem, "totals": self.totals,
                "difference": self.found.to_dict() if self.found else None}  # fmt: skip


def pairs(ref: str, files: Sequence[str], analyze: Analyzer) -> Iterator[Pair]:
    """Each file held against what it was at ``ref``. Raises CnncostError for a commit that is not there."""
    commit = _commit(ref)
    with tempfile.TemporaryDirectory(prefix="cnncost-") as folder:
        for file in dict.fromkeys(files):
            yield _pair(ref, commit, file, folder, analyze)


def _pair(ref: str, commit: str, file: str, folder: str, analyze: Analyzer) -> Pair:
    there = os.path.isfile(file)
    before = _blob(commit, file)
    if before is None:
        if not there:
            raise CnncostError(f"there is no '{printable(file, 200)}', neither here nor at {printable(ref)}")
        return Pair(file, ADDED, totals=dict(analyze(file)["totals"]))
    if not there:
        return Pair(file, REMOVED)
    path = os.path.join(folder, os.path.basename(file))  # a spec without a name is called after its file
    with open(path, "wb") as stream:
        stream.write(before)
    now = analyze(file)
    try:
        then = {**analyze(path), "source": f"{ref}:{file}"}
    except CnncostError as error:  # what was wrong then is mended now, or is of another version of the language
        return Pair(file, UNREADABLE, totals=dict(now["totals"]), problem=error.message)
    found = difference([then, now], [printable(ref), "now"])
    return Pair(file, SAME if found.same else CHANGED, found)


def _commit(ref: str) -> str:
    done = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}") if ref else None
    if done is None or done.returncode:
        inside = _git("rev-parse", "--is-inside-work-tree").returncode == 0
        raise CnncostError(
            f"there is no commit '{printable(ref, 200)}'" if inside else "this is not a git repository",
            rule="--against takes a branch, a tag or a commit of this repository",
            nearest="fetch it first (in CI: check out with fetch-depth: 0)" if inside else "",
        )  # fmt: skip
    return done.stdout.decode("ascii", "replace").strip()


def _blob(commit: str, file: str) -> bytes | None:
    """The file's content at a commit; None where it has none."""
    path = os.path.relpath(file).replace(os.sep, "/")
    done = _git("cat-file", "blob", f"{commit}:./{path}")
    return done.stdout if done.returncode == 0 else None


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, timeout=SECONDS, check=False)
    except FileNotFoundError:
        raise OutsideError("git is not installed", rule="--against reads files from a commit") from None
    except subprocess.TimeoutExpired:
        raise OutsideError(f"git did not answer within {SECONDS} s") from None
    except ValueError as error:  # a NUL
        raise CnncostError(f"no name for git: {printable(error)}") from None


def headline(pair: Pair, ref: str) -> str:
    """What became of a file, in a line."""
    said = {
        ADDED: f"new since {printable(ref)}", REMOVED: f"gone since {printable(ref)}", SAME: "costs the same",
        CHANGED: "has changed", UNREADABLE: f"could not be analyzed at {printable(ref)}: {pair.problem}",
    }  # fmt: skip
    figures = ", ".join(f"{name} {value:,}" for name, value in (pair.totals or {}).items())
    return f"{printable(pair.file, 200)} {said[pair.change]}{f': {figures}' if figures else ''}"


def markdown(found: Sequence[Pair], ref: str, render: Callable[[Difference], str]) -> str:
    """All files for one comment; what does not fit is named."""
    lines = [
        f"## Models against {escaped(printable(ref))}",
        "",
        *(f"- {escaped(headline(p, ref))}" for p in found[:200]),
    ]
    if len(found) > 200:
        lines.append(f"- {len(found) - 200:,} more files")
    text = "\n".join(lines) + "\n"
    left_out = 0
    for pair in found:
        if pair.found is None or pair.change == SAME:
            continue
        body = render(pair.found)
        body = body.partition("\n\n")[2] if body.startswith("## ") else body  # this file's own heading stands there
        part = f"\n### {escaped(printable(pair.file, 200))}\n\n{body}"
        if len((text + part).encode("utf-8", "backslashreplace")) > LIMIT - 100:
            left_out += 1
        else:
            text += part
    return text + (f"\nThe tables of {left_out:,} files are left out for want of room.\n" if left_out else "")


def table(found: Sequence[Pair], ref: str, render: Callable[[Difference], str]) -> str:
    parts = [
        f"{headline(pair, ref)}\n" + (f"{render(pair.found)}\n" if pair.found and pair.change != SAME else "")
        for pair in found
    ]
    return "".join(parts)
