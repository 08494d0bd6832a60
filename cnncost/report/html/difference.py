"""A difference as one self-contained page."""

from __future__ import annotations

from cnncost.difference import Difference
from cnncost.report.difference import HEAD, SIGNS, cells_of, conditions, delta_text, people, summary
from cnncost.report.html.page import environment, static
from cnncost.report.html.security import policy


def render_difference(found: Difference) -> str:
    """The HTML text. Raises MissingExtra without the template engine."""
    style, script = static("report.css"), static("difference.js")
    return str(
        environment().get_template("difference.html.j2").render(
            found=found, summary=summary(found), owners=found.owners(), head=HEAD[1:], signs=SIGNS, people=people,
            rows=[(row, cells_of(row)) for row in found.layers], style=style, script=script, delta=delta_text,
            policy=policy([script], [style]), conditions=conditions(found),
        )
    )  # fmt: skip
