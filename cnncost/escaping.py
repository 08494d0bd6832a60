"""Text from files, made harmless for Markdown: names are hostile until escaped."""

from __future__ import annotations

from cnncost.errors import printable

# Signs that Markdown or HTML would read as its own; entities stay plain text in every renderer.
_ESCAPES = {ord(c): f"\\{c}" for c in "\\`*_[]#~|"} | {ord("<"): "&lt;", ord(">"): "&gt;", ord("&"): "&amp;",
    ord("@"): "&#64;", ord("$"): "&#36;"}  # fmt: skip


def escaped(text: str, limit: int = 2000) -> str:
    """A text that Markdown shows as it is, on one line.

    >>> escaped("a|b`<i>conv_1")
    'a\\\\|b\\\\`&lt;i&gt;conv\\\\_1'
    """
    plain = text if text.isascii() and text.isprintable() and len(text) <= limit else printable(text, limit)
    return plain.translate(_ESCAPES).replace("://", "&#58;//").replace("www.", "www&#46;")
