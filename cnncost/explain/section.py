"""What an explanation is made of: sections of steps, so that text, Markdown and HTML can each render it."""

from __future__ import annotations

from typing import NamedTuple


class Step(NamedTuple):
    """One statement. ``text`` is arithmetic (``lhs = rhs``, every part of it true), an equation, or a plain value."""

    text: str
    name: str = ""  # what the figure is
    remark: str = ""  # words about it

    def line(self) -> str:
        """
        >>> Step("13 - 11 = 2", "columns, ignored", "the last 2").line()
        'columns, ignored: 13 - 11 = 2; the last 2'
        """
        named = f"{self.name}: {self.text}" if self.name and self.text else self.name or self.text
        return f"{named}; {self.remark}" if self.remark else named


class Section(NamedTuple):
    """A title and its steps."""

    title: str
    steps: tuple[Step, ...]

    def lines(self) -> list[str]:
        return [self.title, *(f"  {step.line()}" for step in self.steps)]


def section(title: str, *steps: Step | None) -> Section | None:
    """A section of the steps that apply; None when none does."""
    kept = tuple(step for step in steps if step is not None)
    return Section(title, kept) if kept else None
