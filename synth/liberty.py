"""Finds Liberty libraries and reads what the recipes need to know of them."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import re
import zlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["CellText", "Group", "Library", "LibraryError", "find_libraries"]

_BUNDLED = Path(__file__).parent / "libraries"
_QFLOW = Path("/usr/share/qflow/tech")
_SUFFIXES = (".lib", ".lib.gz")

#: Area unit of the bundled library; foundries state areas in square micrometres by convention,
#: Liberty has no attribute for it.
_GATE_EQUIVALENTS = "GE"
_SQUARE_MICROMETRES = "µm²"

#: Parts of a file's name that say under which conditions it was characterised, not what it is.
_CONDITION = re.compile(
    r"^(tt|ss|ff|typ|typical|nom|nominal|slow|fast|stdcells?|cells?|liberty|lib|ccs|nldm|basic"
    r"|[nm]?\d+c|\d+(v|p)\d+v?|\d+v)$",
    re.IGNORECASE,
)


class LibraryError(ValueError):
    """A library is missing or cannot be used."""


@dataclass(frozen=True)
class CellText:
    """What the text of a Liberty file says of a cell, beyond its function.

    Attributes
    ----------
    area : float
    dont_use : bool
        The library's author keeps it from synthesis.
    clock_gate : bool
        It is an integrated clock gate for rising-edge flip-flops, without observation logic.
    roles : dict of str to str
        For pins of a clock gate: ``clock``, ``enable``, ``test`` or ``out``.
    """

    area: float
    dont_use: bool
    clock_gate: bool
    roles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A group of a Liberty file, such as ``pin (A) { … }``.

    Attributes
    ----------
    kind : str
        ``pin``, for example.
    names : tuple of str
        Its arguments.
    values : dict of str to tuple of str
        Attributes, simple (one element) and complex, without quotes.
    groups : tuple of Group
    """

    kind: str
    names: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    groups: tuple[Group, ...]

    def children(self, kind: str) -> Iterator[Group]:
        """Groups of a kind."""
        return (group for group in self.groups if group.kind == kind)

    def value(self, name: str) -> str | None:
        """A simple attribute, or None."""
        return self.values[name][0] if name in self.values else None


@dataclass(frozen=True)
class Library:
    """A Liberty library.

    Parameters
    ----------
    name : str
        Short name, for people and records.
    path : Path
        A ``.lib`` or ``.lib.gz`` file.
    sha256 : str
        Of the uncompressed text.
    area_unit : str
        ``GE`` for the bundled library, ``µm²`` for all others.
    """

    name: str
    path: Path
    sha256: str
    area_unit: str

    @classmethod
    def read(cls, path: Path) -> Library:
        """Check a file and name it.

        Raises
        ------
        LibraryError
            If it is missing, unreadable, damaged or no Liberty file.
        """
        text = _text(path)
        bundled = path.resolve().parent == _BUNDLED.resolve()
        return cls(
            name=_short_name(path),
            path=path,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            area_unit=_GATE_EQUIVALENTS if bundled else _SQUARE_MICROMETRES,
        )

    def text(self) -> str:
        """The uncompressed text.

        Raises
        ------
        LibraryError
            If the file has gone or changed for the worse since it was found.
        """
        return _text(self.path)

    def cells(self) -> dict[str, CellText]:
        """Facts of every cell that states an area, in the order of the file."""
        return dict(_cells(_without_comments(self.text())))

    def groups(self, cells: Container[str]) -> Group:
        """The library's own group, with some of its cells.

        Parameters
        ----------
        cells : container of str
            Names; others are passed over, because a library is large and a design needs few.

        Raises
        ------
        LibraryError
            If the text cannot be parsed.
        """
        text = _without_comments(self.text())
        first = _CELL.search(text)
        head = text[: first.start() if first else len(text)]
        try:
            library = _parse(head if first is None else head + "}")
            bodies = _groups(_CELL, text)
            found = tuple(_parse(f"cell({n}){{{body}") for n, body in bodies if n in cells)
        except ValueError as error:
            raise LibraryError(f"library {str(self.path)!r} must parse, but {error}") from None
        return replace(library, groups=(*library.groups, *found))


def find_libraries(names: Sequence[str] | None = None) -> list[Library]:
    """Libraries to measure in.

    Looked for in this order: files and folders of ``$DINTMAC_LIBRARIES`` (separated as in
    ``$PATH``), a typical corner of each standard-cell library under ``$PDK_ROOT``, the libraries
    of Debian's qflow packages, and the bundled ``ge``. Of equal files the first is kept.

    Parameters
    ----------
    names : sequence of str, optional
        Short names or paths of files; all that are found if None or empty.

    Raises
    ------
    LibraryError
        If a name is not found or a file is not usable.
    """
    if not names:
        return _distinct(Library.read(path) for path in _default_paths())
    return _distinct(_named(name) for name in names)


def _named(name: str) -> Library:
    path = Path(name)
    if path.name.endswith(_SUFFIXES) or os.sep in name:
        return Library.read(path)
    candidates = [path for path in _default_paths() if _short_name(path) == name]
    if not candidates:
        known = ", ".join(dict.fromkeys(_short_name(path) for path in _default_paths()))
        raise LibraryError(
            f"library must be the path of a .lib or .lib.gz file or one of {known}, not {name!r}"
        )
    return Library.read(candidates[0])


def _distinct(libraries: Iterable[Library]) -> list[Library]:
    """Without repeated contents; names that then repeat get a number."""
    by_content: dict[str, Library] = {}
    for library in libraries:
        by_content.setdefault(library.sha256, library)
    result: dict[str, Library] = {}
    for library in by_content.values():
        name, number = library.name, 2
        while name in result:
            name, number = f"{library.name}-{number}", number + 1
        result[name] = Library(name, library.path, library.sha256, library.area_unit)
    return list(result.values())


def _default_paths() -> list[Path]:
    return [*_environment_paths(), *_pdk_paths(), *_liberty_files(_QFLOW, "*/"), *_bundled_paths()]


def _bundled_paths() -> list[Path]:
    return _liberty_files(_BUNDLED)


def _environment_paths() -> Iterator[Path]:
    for entry in os.environ.get("DINTMAC_LIBRARIES", "").split(os.pathsep):
        if not entry:
            continue
        path = Path(entry)
        if path.is_dir():
            yield from _liberty_files(path)
        else:
            yield path


def _liberty_files(folder: Path, pattern: str = "") -> list[Path]:
    return sorted(path for suffix in _SUFFIXES for path in folder.glob(f"{pattern}*{suffix}"))


def _pdk_paths() -> list[Path]:
    """A typical corner of each library in the layout of ciel, volare and open_pdks.

    That is ``<root>/<pdk>/libs.ref/<library>/lib/<library>__<corner>.lib``.
    """
    root = os.environ.get("PDK_ROOT")
    if not root:
        return []
    folders = sorted(Path(root).glob("*/libs.ref/*/lib"))
    typical = (_typical_corner(_liberty_files(folder)) for folder in folders)
    # Pads and memories have no logic to map to; their folders say so.
    return [
        path
        for path in typical
        if path is not None and not re.search(r"(_io|_pr|sram|primitive)", path.parts[-3])
    ]


def _typical_corner(paths: Sequence[Path]) -> Path | None:
    """The file whose corner is typical, at 25 °C if there is one; the plainest name of these."""
    typical = [p for p in paths if re.search(r"_(tt|typ|typical|nom)(_|\.)", p.name)]
    if not typical:
        return None
    return min(typical, key=lambda p: (not re.search(r"_0?25C", p.name), len(p.name), p.name))


def _short_name(path: Path) -> str:
    """The file's name without the conditions of characterisation at its end, in lower case.

    ``nangate45_typ.lib`` is ``nangate45``, ``sky130_fd_sc_hd__tt_025C_1v80.lib`` is
    ``sky130_fd_sc_hd``.
    """
    stem = re.sub(r"\.lib(\.gz)?$", "", path.name, flags=re.IGNORECASE)
    words = [word for word in re.split(r"_+", stem) if word]
    while len(words) > 1 and _CONDITION.match(words[-1]):
        words.pop()
    return "_".join(words).lower()


def _text(path: Path) -> str:
    """The text of a file, complete and a library."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise LibraryError(f"library must be an existing file, not {str(path)!r}") from None
    except OSError as error:
        raise LibraryError(
            f"library must be a readable file, but {str(path)!r} is not: {error.strerror}"
        ) from None
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            raise LibraryError(
                f"library must be a sound gzip file, but {str(path)!r} is damaged or cut short"
            ) from None
    # Comments hold names and units in any encoding; cells and numbers are ASCII.
    text = content.decode("utf-8", errors="replace")
    if not _HEADER.match(text):
        raise LibraryError(f"library must be in Liberty format, but {str(path)!r} is not")
    if not _is_balanced(text):
        raise LibraryError(f"library must be a complete Liberty file, but {str(path)!r} is cut off")
    return text


def _is_balanced(text: str) -> bool:
    """Whether all groups are closed; braces in comments and strings count only at first sight."""
    if text.count("{") == text.count("}"):
        return True
    plain = re.sub(r'"[^"]*"', "", _without_comments(text))
    return plain.count("{") == plain.count("}")


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


_HEADER = re.compile(r"(?:\s|/\*.*?\*/|//[^\n]*)*library\s*\(", re.DOTALL)
_CELL = re.compile(r'\bcell\s*\(\s*"?([^\s")]+)"?\s*\)\s*\{')
_PIN = re.compile(r'\bpin\s*\(\s*"?([^\s")]+)"?\s*\)\s*\{')
_AREA = re.compile(r'\barea\s*:\s*"?([-+0-9.eE]+)')
_DONT_USE = re.compile(r'\bdont_use\s*:\s*"?true', re.IGNORECASE)
_CLOCK_GATE = re.compile(
    r'\bclock_gating_integrated_cell\s*:\s*"?latch_posedge(_precontrol)?"?\s*;'
)
_ROLE = re.compile(r'\bclock_gate_(clock|enable|test|out)_pin\s*:\s*"?true', re.IGNORECASE)


def _groups(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    """Name and text of each group that ``pattern`` begins, up to the next of its kind."""
    matches = list(pattern.finditer(text))
    for match, following in itertools.zip_longest(matches, matches[1:]):
        yield match[1], text[match.end() : following.start() if following else len(text)]


def _cells(text: str) -> Iterator[tuple[str, CellText]]:
    for name, body in _groups(_CELL, text):
        area = _AREA.search(body)
        if area is not None:
            yield name, _cell(body, float(area[1]))


def _cell(body: str, area: float) -> CellText:
    clock_gate = _CLOCK_GATE.search(body) is not None
    return CellText(
        area=area,
        dont_use=_DONT_USE.search(body) is not None,
        clock_gate=clock_gate,
        roles=dict(_roles(body)) if clock_gate else {},
    )


def _roles(body: str) -> Iterator[tuple[str, str]]:
    for name, pin in _groups(_PIN, body):
        role = _ROLE.search(pin)
        if role is not None:
            yield name, role[1]


#: A statement: a name, then a simple value, or arguments and perhaps the beginning of a group; or
#: the end of a group.
_STATEMENT = re.compile(
    r"""[\s;\\]*(?:(?P<end>\})|(?P<name>[\w.\[\]-]+)\s*(?:
        :\s*(?P<value>"[^"]*"|[^;\n}]*)
        |\((?P<arguments>(?:"[^"]*"|[^")])*)\)\s*(?P<begin>\{)?
    ))""",
    re.VERBOSE,
)
_ARGUMENT = re.compile(r'"([^"]*)"|([^\s,"\\]+)')


def _parse(text: str) -> Group:
    """The first group of a text; what follows its end is not looked at."""
    position, stack = 0, [Group("", (), {}, ())]
    while True:
        match = _STATEMENT.match(text, position)
        if match is None:
            raise ValueError(f"{text[position : position + 40].strip()!r} is no statement")
        position = match.end()
        if match["end"]:
            group = stack.pop()
            if len(stack) <= 1:
                return group
            stack[-1] = replace(stack[-1], groups=(*stack[-1].groups, group))
        elif match["begin"]:
            stack.append(Group(match["name"], _arguments(match["arguments"]), {}, ()))
        elif match["value"] is not None:
            stack[-1].values[match["name"]] = (match["value"].strip().strip('"').strip(),)
        else:
            stack[-1].values[match["name"]] = _arguments(match["arguments"])


def _arguments(text: str) -> tuple[str, ...]:
    return tuple(quoted or plain for quoted, plain in _ARGUMENT.findall(text))
