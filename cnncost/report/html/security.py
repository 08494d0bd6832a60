"""What makes a page of hostile names safe: a policy that names every script's digest, and JSON that cannot end its
element."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

_UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x7F: "\\u007f"}


def embedded(value: Any) -> str:
    """JSON for a ``<script type="application/json">``: no ``<`` can end the element, whatever a name holds, and no sign
    of it turns the text around.

    >>> embedded({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)


def digest(text: str) -> str:
    """A source of Content-Security-Policy (CSP level 2, hash-source) for an inline element with this content.

    >>> digest("alert(1)")
    "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
    """
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}'"


def policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """Nothing from anywhere; the inline scripts and style sheets with these contents. Style attributes are allowed:
    the charts position their parts with them, and an attribute can load nothing under this policy."""
    return "; ".join((
        "default-src 'none'", f"script-src {' '.join(map(digest, scripts))}",
        f"style-src-elem {' '.join(map(digest, styles))}", "style-src-attr 'unsafe-inline'", "img-src data:",
        "base-uri 'none'", "form-action 'none'",
    ))  # fmt: skip
