"""Write the example reports of this folder: ``python reports/generate.py``. A test keeps them current."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import cnncost
from cnncost.measure.advice import advice
from cnncost.report.document import document, write_document
from cnncost.report.html import Extras, render_page
from cnncost.report.text import bytes_text, count_text

HERE = Path(__file__).resolve().parent


class Report(NamedTuple):
    """What is analyzed, and whether the page in HTML is kept too (0.7 MB and more, most of it the charts' library)."""

    source: str
    options: dict[str, Any]
    html: bool = False


TRAINING = {"mode": "training", "optimizer": "sgd"}
REPORTS = {
    "memory-example": Report("zoo:memory-example", {"batch": 100}),
    "lenet5-1998": Report("zoo:lenet5-1998", {**TRAINING, "batch": 32}, html=True),
    "alexnet-table": Report("zoo:alexnet-table", {}),
    "googlenet": Report("zoo:googlenet", {}, html=True),
    "resnet152": Report("zoo:resnet152", {}, html=True),
    "mobilenet-v2": Report("zoo:mobilenet-v2", {}),
    "unet": Report("zoo:unet", {"mode": "training", "optimizer": "adam"}),
}
MEASURED = {
    "photographs": "two filters and a pooling over photographs, run for real",
    "verification": "predictions against real runs",
}


def analysis(name: str) -> cnncost.Analysis:
    return cnncost.analyze(REPORTS[name].source, processor="avx512", **REPORTS[name].options)


def remedies(found: cnncost.Analysis) -> list[str]:
    return advice(found, found.mode)


def markdown(name: str, kinds: tuple[str, ...]) -> str:
    """The Markdown report of one of REPORTS that shows these pictures."""
    found = analysis(name)
    pictures = {kind: f"{name}_files/{kind}.svg" for kind in kinds}
    return document(found, advice=remedies(found), pictures=pictures)


def html(name: str) -> str:
    """The page of one of REPORTS."""
    found = analysis(name)
    return render_page(found, Extras(advice=remedies(found)))


def index() -> str:
    """What the folder holds."""
    lines = [
        "# Example reports", "",
        "Written by `python reports/generate.py`; a test keeps them current. The pages in HTML open from disk and load "
        "nothing.", "",
        "| model | report | analyzed as | params | MACs | peak |", "|:--|:--|:--|--:|--:|--:|",
    ]  # fmt: skip
    for name, report in REPORTS.items():
        found = analysis(name)
        step = found.memory.runtime.of(found.mode)
        how = [found.mode, *([found.optimizer] if found.optimizer else []), f"batch {found.batch:,}"]
        files = f"[Markdown]({name}.md)" + (f", [HTML]({name}.html)" if report.html else "")
        lines.append(f"| {name} | {files} | {', '.join(how)} | {count_text(found.totals.params)} | "
                     f"{count_text(found.totals.macs)} | {bytes_text(step.peak_bytes) if step else ''} |")  # fmt: skip
    lines += ["", "What a machine measured, written by the script of the same name:", ""]
    lines += [f"- [{name}]({name}.md): {text}" for name, text in MEASURED.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    for name, report in REPORTS.items():
        found = analysis(name)
        write_document(found, str(HERE / f"{name}.md"), advice=remedies(found), limit=65_536, pictures=(".svg",))
        if report.html:
            (HERE / f"{name}.html").write_text(html(name), encoding="utf-8")
        print(f"reports/{name}")
    (HERE / "README.md").write_text(index(), encoding="utf-8")


if __name__ == "__main__":
    main()
