"""``recompute`` at the top of a spec: names and patterns of layers and blocks that the reverse pass runs again, each as
if ``recompute: true`` stood beside it. A group inside another belongs to it; what is used again is run again alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from fnmatch import translate

from cnncost.errors import CnncostError, nearest, printable
from cnncost.graph import Layer
from cnncost.sources.spec.call import Env
from cnncost.sources.spec.expand import Expander
from cnncost.sources.spec.nodes import List, Node, Trail, describe

MAX_PATTERNS, MAX_STARS, MAX_LENGTH = 64, 8, 200
RULE = "'recompute' names layers and blocks of the model by their full names; patterns such as stage2* match several"
TRAIL: Trail = (None, "recompute")
Spans = dict[int, int]  # where a group begins → where it ends, one behind its last layer


def regroup(expander: Expander, node: Node | None, env: Env) -> None:
    """Put every layer into its group: those that entries ask for, and those that the key at the top names."""
    groups = _asked_for(expander.layers)
    if node is not None:
        for begin, end in _named(expander, node, env):
            groups[begin] = max(end, groups.get(begin, 0))
    if not groups:
        return
    for low, high, shift in expander.reused:
        for begin in range(low, high):
            if groups.get(begin, high + 1) <= high:
                groups[begin + shift] = max(groups[begin] + shift, groups.get(begin + shift, 0))
    reached = 0
    for begin, end in sorted(groups.items()):
        if begin >= reached:
            reached = end
            for index in range(begin, end):
                expander.layers[index] = replace(expander.layers[index], recompute=begin)


def _asked_for(layers: Iterable[Layer]) -> Spans:
    return {layer.recompute: index + 1 for index, layer in enumerate(layers) if layer.recompute is not None}


def _named(expander: Expander, node: Node, env: Env) -> list[tuple[int, int]]:
    value = expander.reader.value(node, env, TRAIL) if not isinstance(node, List) else None
    if not isinstance(node, List) and not isinstance(value, str):
        hint = "'*' is every layer and block, each for itself" if value is True else ""
        raise expander.error(node, "a wrong 'recompute'", TRAIL, rule=RULE, nearest=hint)
    parts = node.value if isinstance(node, List) else [node]
    found: list[tuple[int, int]] = []
    patterns = 0
    for part in parts:
        word = expander.reader.value(part, env, TRAIL)
        if not isinstance(word, str) or not word:
            raise expander.error(part, "'recompute' is a list of names", TRAIL, rule=RULE)
        if word in expander.named:
            names: Iterable[str] = (word,)
        else:
            patterns += any(sign in word for sign in "*?[")
            names = _matching(expander, part, word, patterns)
        spans = [span for name in names for span in _spans(expander, name)]
        if not spans:
            raise _nothing(expander, part, word)
        found += spans
    return found


def _matching(expander: Expander, node: Node, word: str, patterns: int) -> list[str]:
    if patterns > MAX_PATTERNS or len(word) > MAX_LENGTH or word.count("*") > MAX_STARS:
        raise expander.error(
            node, "too large a pattern, or too many", TRAIL, received=printable(word),
            rule=f"at most {MAX_PATTERNS} patterns of at most {MAX_LENGTH} characters and {MAX_STARS} stars each",
        )  # fmt: skip
    if not any(sign in word for sign in "*?["):
        return []
    match = re.compile(translate(word)).match
    return [name for name in expander.named if match(name)]


def _spans(expander: Expander, name: str) -> list[tuple[int, int]]:
    """The layers of a name; of a repeated one those of each repetition, of an input none."""
    again = expander.repetitions.get(name)
    if again is None:
        first = expander.named[name].layer
        low, high, _ = expander.spans.get(name, (first, first + 1, ()))
        again = [(low, high)]
    return [(low, high) for low, high in again if high > low and expander.layers[low].kind.name() != "InputLayer"]


def _nothing(expander: Expander, node: Node, word: str) -> CnncostError:
    if word in expander.named:
        return expander.error(node, f"'{printable(word)}' computes nothing that could be run again", TRAIL, rule=RULE)
    if any(sign in word for sign in "*?["):
        return expander.error(node, f"no layer or block matches '{printable(word)}'", TRAIL, rule=RULE)
    near = nearest(word, list(expander.named)[-2000:])
    return expander.error(
        node, f"there is no layer or block '{printable(word)}'", TRAIL, rule=RULE, nearest=near, received=describe(node)
    )
