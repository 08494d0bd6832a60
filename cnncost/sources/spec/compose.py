"""YAML text → nodes with places, from libyaml's events: bounded in depth and size, and without Python objects, tags,
merge keys or recursive aliases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from cnncost.errors import CnncostError, printable
from cnncost.sources.spec.nodes import MAX_DEPTH, MAX_NODES, List, Map, Mark, Node, Origin, Scalar, mark_of
from cnncost.sources.spec.scalars import MAX_DIGITS, LongNumber, plain

# An unknown dimension, [?, ?, 3]: libyaml's grammar takes a '?' in a list for the start of a key.
_UNKNOWN = re.compile(r"([\[,]\s*)\?(?=\s*[,\]])")


def _place(text: str, offset: int) -> Mark:
    """The mark of an offset."""
    return mark_of(text.count("\n", 0, offset), offset - (text.rfind("\n", 0, offset) + 1))


def _at(mark: Any) -> Mark:
    """The mark of PyYAML's."""
    return mark_of(mark.line, mark.column)


class _Frame:
    """A list or mapping that is not finished yet."""

    __slots__ = ("anchor", "key", "keys", "mark", "node", "size")

    def __init__(self, node: List | Map, anchor: str | None) -> None:
        self.node, self.anchor = node, anchor
        self.key: str | None = None
        self.size = 1


def compose(text: str, origin: Origin) -> Node:
    """The one document of a YAML text. Raises CnncostError with the place."""
    import yaml

    try:
        return _Composer(origin).run(_events(text))
    except UnicodeEncodeError as error:  # half of a surrogate pair, in a text from Python
        raise _character(text, error.start, origin) from None
    except yaml.reader.ReaderError as error:
        if yaml.__with_libyaml__:  # counts bytes
            raise _character(text, len(text.encode()[: error.position].decode("utf-8", "ignore")), origin) from None
        raise _character(text, error.position, origin) from None
    except yaml.YAMLError as error:
        known = _UNKNOWN.sub(r"\1~", text)  # of the same length, so that places stay
        if known != text:
            return compose(known, origin)
        raise _syntax_error(error, text, origin) from None


def _character(text: str, offset: int, origin: Origin) -> CnncostError:
    return origin.error(
        _place(text, offset), f"the character {text[offset : offset + 1]!a} cannot stand in a spec",
        rule="a spec is text: printable characters, spaces and line breaks",
    )  # fmt: skip


def _events(text: str) -> Iterator[Any]:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", None) or yaml.SafeLoader
    parser = loader(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def _syntax_error(error: Any, text: str, origin: Origin) -> CnncostError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    context = getattr(error, "context", None)
    if "maximum nesting depth" in problem:  # libyaml's own limit, met where it reads ahead
        return _too_deep(mark, origin)
    rule = str(context) if context else ""
    opened = getattr(error, "context_mark", None)
    if rule and opened is not None:
        rule += f" that starts at {origin.location(_at(opened))}"
    line = text.split("\n")[mark.line : mark.line + 1] if mark is not None else []
    hint = "indent with spaces, not tabs" if line and line[0].lstrip(" ").startswith("\t") else ""
    if mark is not None and not hint and line:
        hint = _colon(text.split("\n"), mark.line)
    if not hint and "mapping values are not allowed" in problem:
        hint = "a text that contains ': ' needs quotes; otherwise look at the indentation"
    return origin.error(
        _at(mark) if mark else None, f"not YAML: {printable(problem, 200)}", rule=printable(rule, 600), nearest=hint
    )


def _too_deep(mark: Any, origin: Origin) -> CnncostError:
    return origin.error(_at(mark) if mark else None, f"the nesting is deeper than {MAX_DEPTH} levels")


def _colon(lines: list[str], line: int) -> str:
    """What helps where a lone word stands above the keys that are meant for it.

    >>> _colon(["layers:", "  - ReLU  # why not", "", "    name: last"], 3)
    "write 'ReLU:' in line 2, with a colon, where keys follow below it"
    >>> _colon(["layers:", "  - ReLU", "  name: last"], 2)
    ''
    """
    above = next((i for i in range(line - 1, -1, -1) if lines[i].split("#")[0].strip()), -1)
    word = re.fullmatch(r"((?: |- )*)(\w[\w.]{0,80})\s*(?:\s#.*)?", lines[above]) if above >= 0 else None
    key = re.match(r"( +)[\w.]+:(?:\s|$)", lines[line])
    if word is None or key is None or len(key[1]) < len(word[1]):
        return ""
    return f"write '{word[2]}:' in line {above + 1}, with a colon, where keys follow below it"


class _Composer:
    """Builds the tree iteratively; an alias is the same node again, counted with its whole size."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.stack: list[_Frame] = []
        self.root: Node | None = None
        self.documents = 0

    def run(self, events: Iterator[Any]) -> Node:
        from yaml import events as ev

        handlers = {
            ev.ScalarEvent: self.scalar, ev.SequenceStartEvent: self.open_list, ev.MappingStartEvent: self.open_map,
            ev.SequenceEndEvent: self.close, ev.MappingEndEvent: self.close, ev.AliasEvent: self.alias,
            ev.DocumentStartEvent: self.document,
        }  # fmt: skip
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event)
        if self.root is None:
            raise self.origin.error(None, "the spec is empty", rule="it needs at least 'input' and 'layers'")
        return self.root

    def document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            raise self.origin.error(
                _at(event.start_mark), "a second document starts here", rule="a spec is one YAML document (one '---')"
            )

    def scalar(self, event: Any) -> None:
        mark, text = _at(event.start_mark), event.value
        frame = self.stack[-1] if self.stack else None
        if event.tag is not None:
            raise self.tagged(event)
        if frame is not None and frame.key is None and isinstance(frame.node, Map):
            if event.anchor:
                self.anchors[event.anchor] = (Scalar(text, mark), 1)
            self.key(frame, text, mark, event.implicit[0])
            return
        is_plain = event.implicit[0]
        try:
            value = plain(text) if is_plain else text
        except LongNumber as error:
            raise self.origin.error(mark, str(error), rule=f"a number has at most {MAX_DIGITS} digits") from None
        self.add(Scalar(value, mark, is_plain), 1, event.anchor)

    def key(self, frame: _Frame, text: str, mark: Mark, is_plain: bool) -> None:
        node = frame.node
        assert isinstance(node, Map)
        if is_plain and text == "<<":
            raise self.origin.error(
                mark, "merge keys ('<<') are not part of the language",
                rule="shared arguments stand in 'defaults' or in a block with 'params'",
            )  # fmt: skip
        if text in node.keys:
            raise self.origin.error(
                mark, f"the key '{printable(text)}' stands twice in this mapping", rule="a key may stand once",
                received=f"first at {self.origin.location(node.keys[text])}",
            )  # fmt: skip
        node.keys[text] = mark
        frame.key = text

    def open_list(self, event: Any) -> None:
        self.push(List([], _at(event.start_mark)), event)

    def open_map(self, event: Any) -> None:
        self.push(Map({}, {}, _at(event.start_mark)), event)

    def push(self, node: List | Map, event: Any) -> None:
        if event.tag is not None:
            raise self.tagged(event)
        if len(self.stack) >= MAX_DEPTH:
            raise _too_deep(event.start_mark, self.origin)
        self.no_complex_key(event)
        self.stack.append(_Frame(node, event.anchor))

    def close(self, event: Any) -> None:
        frame = self.stack.pop()
        self.add(frame.node, frame.size, frame.anchor)

    def alias(self, event: Any) -> None:
        found = self.anchors.get(event.anchor)
        if found is None:
            raise self.origin.error(
                _at(event.start_mark), f"the alias '*{printable(event.anchor)}' names no earlier anchor",
                rule="an anchor stands before its aliases, and is not inside itself",
            )  # fmt: skip
        self.no_complex_key(event)
        node, size = found
        if self.stack and self.stack[-1].size + size > MAX_NODES:
            raise self.origin.error(
                _at(event.start_mark), f"with its aliases written out the spec has more than {MAX_NODES:,} values"
            )
        self.add(node, size, None)

    def add(self, node: Node, size: int, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = (node, size)
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        frame.size += size
        if isinstance(frame.node, List):
            frame.node.value.append(node)
        else:
            assert frame.key is not None
            frame.node.value[frame.key] = node
            frame.key = None

    def no_complex_key(self, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is None and isinstance(frame.node, Map):
            raise self.origin.error(
                _at(event.start_mark), "a key is a list, a mapping or an alias", rule="keys are text"
            )

    def tagged(self, event: Any) -> CnncostError:
        return self.origin.error(
            _at(event.start_mark), f"the tag '{printable(event.tag)}' is refused",
            rule="a spec is plain data: mappings, lists, text, numbers, true, false, null",
        )  # fmt: skip
