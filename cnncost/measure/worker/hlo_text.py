"""What a compiled program's text says that XLA's account of its memory leaves out."""

from __future__ import annotations

import re

_LIBRARIES = {"ynn": "YNNPACK", "xnn": "XNNPACK", "onednn": "oneDNN"}


def handed_over(text: str) -> str | None:
    """A note where instructions were handed to a library: its buffers are its own, and in no account of XLA's.

    >>> handed_over('backend_config={"fusion_config":{"kind":"__ynn_fusion"}}')
    'XLA left 1 fusion to YNNPACK, whose buffers it does not count: the true peak is higher'
    >>> handed_over("ROOT %add = f32[] add(%a, %b)") is None
    True
    """
    kinds = re.findall(r'"kind":\s*"__(ynn|xnn|onednn)_?fusion"', text)
    if not kinds:
        return None
    names = " and ".join(sorted({_LIBRARIES[kind] for kind in kinds}))
    return (
        f"XLA left {len(kinds)} fusion{'s' if len(kinds) > 1 else ''} to {names}, whose buffers it does not count: "
        "the true peak is higher"
    )
