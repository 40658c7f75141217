"""The syntax of Liberty files: one parser and one writer.

A file is a tree of groups. Every statement in it is a group, ``pin (A) { … }``, a simple attribute,
``area : 1;``, or a complex one, ``values ("1, 2", "3, 4");``. Comments, line continuations and
missing semicolons are no part of the tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Attribute", "Group", "LibertySyntaxError", "parse", "write"]

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_COMMENT = r"/\*.*?\*/|//[^\n]*+"
_CONTINUATION = r"\\[^\S\n]*+(?:\n|\Z)"
#: What may stand between any two words.
_GAP = rf"(?:\s++|{_CONTINUATION}|{_COMMENT})*+"
#: What a value or arguments consist of, beside brackets and colons.
_PART = rf'[^"\\/:;(){{}}\n]++|{_STRING}|{_COMMENT}|{_CONTINUATION}|/'

#: A statement, as far as its body, if it has one; or the end of a group or of the file.
_STATEMENT = re.compile(
    rf"""(?:;|{_GAP})*+(?:
        (?P<name>[\w.\[\]+-]++){_GAP}(?:
            :(?P<value>(?:{_PART}|[()])*+)
          | \((?P<arguments>(?:{_PART}|[\n:;])*+)\){_GAP}(?P<body>\{{)?
        )
      | (?P<end>\}}) | (?P<stop>\Z) | (?P<fault>.)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_WORD = re.compile(
    rf'({_STRING})|{_COMMENT}|{_CONTINUATION}|((?:[^\s,"\\/]|/(?![/*]))+)', re.DOTALL
)
#: What needs no quotes.
_PLAIN = re.compile(r"[\w.+-]+(?:\[\d+(?::\d+)?\])?", re.ASCII)


class LibertySyntaxError(ValueError):
    """A text is not in Liberty's syntax."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """A simple or a complex attribute.

    Attributes
    ----------
    name : str
    text : str
        What follows the name, as the file has it.
    simple : bool
        It is of the form ``name : value;``.
    """

    name: str
    text: str
    simple: bool

    @property
    def values(self) -> tuple[str, ...]:
        """Its value or its arguments, without quotes."""
        words = _unquoted(self.text)
        return (" ".join(words),) if self.simple else words


@dataclass(frozen=True, slots=True)
class Group:
    """A group, such as ``pin (A) { … }``.

    Attributes
    ----------
    kind : str
        ``pin``, for example.
    text : str
        Its arguments, as the file has them.
    body : list of Attribute or Group
        Its statements in the order of the file.
    """

    kind: str
    text: str = ""
    body: list[Attribute | Group] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """Its arguments, without quotes."""
        return _unquoted(self.text)

    def groups(self, *kinds: str) -> Iterator[Group]:
        """Groups of some kinds in it."""
        return (part for part in self.body if isinstance(part, Group) and part.kind in kinds)

    def values(self, name: str) -> tuple[str, ...]:
        """Values of the first attribute of a name, without quotes; empty if there is none."""
        for part in self.body:
            if isinstance(part, Attribute) and part.name == name:
                return part.values
        return ()

    def value(self, name: str) -> str | None:
        """The only or the first of :meth:`values`; None if there is none."""
        return next(iter(self.values(name)), None)


def parse(text: str) -> list[Attribute | Group]:
    """The statements of a text.

    Raises
    ------
    LibertySyntaxError
        If something is no statement, or the text ends within a group.
    """
    top = Group("")
    body, outer = top.body, []
    for match in _STATEMENT.finditer(text):
        name, value, arguments, opens, end, stop, _ = match.groups()
        if value is not None:
            body.append(Attribute(name, value, True))
        elif opens:
            group = Group(name, arguments)
            body.append(group)
            outer.append(body)
            body = group.body
        elif name:
            body.append(Attribute(name, arguments, False))
        elif end and outer:
            body = outer.pop()
        elif stop is not None and not outer:
            break
        else:
            raise _error(text, match.end() - (stop is None), bool(outer))
    return top.body


def _error(text: str, position: int, inside: bool) -> LibertySyntaxError:
    if inside and "}" not in text[position:]:
        return LibertySyntaxError("it is cut off")
    line = text.count("\n", 0, position) + 1
    words = " ".join(text[position : position + 40].split())
    return LibertySyntaxError(f"{words!r} in line {line} is no statement")


def write(statements: Iterable[Attribute | Group], indent: str = "") -> str:
    """Statements as every tool reads them.

    A line each, in ASCII, with quotes where they matter, and a group for each pin.
    """
    return "".join(_lines(statements, indent)).encode("ascii", "replace").decode("ascii")


def _lines(statements: Iterable[Attribute | Group], indent: str) -> Iterator[str]:
    for part in statements:
        if isinstance(part, Group):
            for names in _heads(part):
                yield f"{indent}{part.kind} ({names}) {{\n"
                yield from _lines(part.body, indent + "  ")
                yield f"{indent}}}\n"
        elif part.simple:
            yield f"{indent}{part.name} : {_value(part.text)};\n"
        else:
            yield f"{indent}{part.name} ({', '.join(_words(part.text))});\n"


def _heads(group: Group) -> list[str]:
    """The arguments of a group; of pins that share one, one after the other."""
    words = _words(group.text)
    return words if group.kind == "pin" and words else [", ".join(words)]


def _value(text: str) -> str:
    plain = text.strip()
    if _PLAIN.fullmatch(plain):
        return plain
    words = _words(text)
    return words[0] if len(words) == 1 else f'"{" ".join(_unquoted(text))}"'


def _words(text: str) -> list[str]:
    """The words of a value or of arguments, in quotes if they were or if they need them."""
    return [
        _joined(string) if string else word if _PLAIN.fullmatch(word) else f'"{word}"'
        for string, word in _WORD.findall(text)
        if string or word
    ]


def _unquoted(text: str) -> tuple[str, ...]:
    return tuple(word.strip('"').strip() for word in _words(text))


def _joined(string: str) -> str:
    """A string in one line; quotes within it, which few tools read, become apostrophes."""
    if "\\" not in string and "\n" not in string:
        return string
    joined = re.sub(_CONTINUATION, "", string).replace('\\"', "'").replace("\\", "")
    return " ".join(joined.split())
