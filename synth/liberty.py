"""Finds Liberty libraries and reads what the recipes need to know of them."""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dintmac.synth.syntax import Attribute, Group, LibertySyntaxError, parse, write

__all__ = ["CellFacts", "Library", "LibraryError", "area_of", "find_libraries"]

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


#: A name that is given to a library.
_LABEL = re.compile(r"[\w.+-]+")

#: How many of many things a message names.
_NAMED = 8


class LibraryError(ValueError):
    """A library is missing or cannot be used."""


@dataclass(frozen=True)
class CellFacts:
    """What a Liberty file says of a cell, beyond its function.

    Attributes
    ----------
    area : float or None
        None: it states none above zero, so that it cannot be counted.
    function : bool
        An output has one.
    dont_use : bool
        The library's author keeps it from synthesis.
    clock_gate : bool
        It is an integrated clock gate for rising-edge flip-flops, without observation logic.
    roles : dict of str to str
        For pins of a clock gate: ``clock``, ``enable``, ``test`` or ``out``.
    """

    area: float | None
    function: bool
    dont_use: bool
    clock_gate: bool
    roles: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Library:
    """A Liberty library: all that its files hold, whatever becomes of them.

    Attributes
    ----------
    name : str
        Short name, for people and records.
    paths : tuple of Path
        The ``.lib`` or ``.lib.gz`` files that make it up.
    area_unit : str
        ``GE`` for the bundled library, ``µm²`` for all others.
    sha256 : str
        Of :meth:`text`: the same however the files are laid out and their cells are ordered.
    facts : dict of str to CellFacts
        Of every cell, by name.
    """

    name: str
    paths: tuple[Path, ...]
    area_unit: str
    sha256: str
    facts: dict[str, CellFacts] = field(compare=False, repr=False)
    _head: str = field(compare=False, repr=False)
    _cells: dict[str, str] = field(compare=False, repr=False)

    @classmethod
    def read(cls, *paths: Path, name: str = "") -> Library:
        """Read the files of a library.

        Parameters
        ----------
        *paths : Path
            One or more; their cells are put together.
        name : str, optional
            By default that of the first file.

        Raises
        ------
        LibraryError
            If one is missing, unreadable, damaged or no Liberty file, they disagree in units or
            conditions, or two cells have one name.
        """
        library = _merged([_library_group(path) for path in paths], paths)
        cells = _cells(library, paths)
        head = replace(library, body=[part for part in library.body if not _is_cell(part)])
        bundled = all(path.resolve().parent == _BUNDLED.resolve() for path in paths)
        unhashed = cls(
            name=name or _short_name(paths[0]),
            paths=paths,
            area_unit=_GATE_EQUIVALENTS if bundled else _SQUARE_MICROMETRES,
            sha256="",
            facts={name: facts for name, (facts, _) in cells.items()},
            _head=write([head]).removesuffix("}\n"),
            _cells={name: text for name, (_, text) in cells.items()},
        )
        return unhashed._hashed()

    def without(self, patterns: Iterable[str]) -> Library:
        """The library as if some of its cells were not there.

        Parameters
        ----------
        patterns : iterable of str
            Names, with ``*``, ``?`` and ``[…]`` as in a shell.
        """
        barred = {name for pattern in patterns for name in fnmatch.filter(self.facts, pattern)}
        library = replace(
            self,
            facts={name: facts for name, facts in self.facts.items() if name not in barred},
            _cells={name: text for name, text in self._cells.items() if name not in barred},
        )
        return library._hashed()

    def _hashed(self) -> Library:
        return replace(self, sha256=hashlib.sha256(self.text().encode()).hexdigest())

    @property
    def where(self) -> str:
        """Its files, as messages name them."""
        return _where(self.paths)

    @property
    def left_alone(self) -> str:
        """Which cells could be used, but have no area to count; empty if there are none."""
        names = [
            name
            for name, facts in self.facts.items()
            if facts.function and not facts.dont_use and facts.area is None
        ]
        return f"left alone, without an area above zero: {_listed(names)}" if names else ""

    def text(self, cells: Iterable[str] | None = None) -> str:
        """The library in the one form that all tools get, in ASCII.

        Parameters
        ----------
        cells : iterable of str, optional
            Which cells, in this order; by default all, sorted by name.
        """
        names = self._cells if cells is None else cells
        return "".join([self._head, *(self._cells[name] for name in names), "}\n"])

    def group(self, cells: Iterable[str]) -> Group:
        """The library's own group, with some of its cells.

        Parameters
        ----------
        cells : iterable of str
            Names of cells: a library is large, and a design needs few.
        """
        return next(part for part in parse(self.text(cells)) if isinstance(part, Group))


def find_libraries(
    names: Sequence[str] | None = None, dont_use: Sequence[str] = ()
) -> list[Library]:
    """Libraries to measure in.

    Looked for in this order: files and folders of ``$DINTMAC_LIBRARIES`` (separated as in
    ``$PATH``), a typical corner of each standard-cell library under ``$PDK_ROOT``, the libraries
    of Debian's qflow packages, and the bundled ``ge``. Of equal files the first is kept.

    Parameters
    ----------
    names : sequence of str, optional
        Short names, paths of files, or what makes up one library together: paths with commas
        between them, or a folder; ``NAME=…`` names any of these. All that are found if None or
        empty.
    dont_use : sequence of str, optional
        Patterns for names of cells to do without.

    Raises
    ------
    LibraryError
        If a name is not found, a file is not usable, or a pattern matches no cell.
    """
    read = map(_named, names) if names else map(Library.read, _default_paths())
    libraries = list(read)
    for pattern in dont_use:
        if not any(fnmatch.filter(library.facts, pattern) for library in libraries):
            known = ", ".join(library.name for library in libraries)
            raise LibraryError(f"dont-use must match a cell of {known}, not {pattern!r}")
    return _distinct(library.without(dont_use) for library in libraries)


def _named(name: str) -> Library:
    defaults = _default_paths()
    for path in defaults:
        if _short_name(path) == name:
            return Library.read(path)
    label, equals, listed = name.partition("=")
    if not equals or Path(name).exists():
        label, listed = "", name
    elif not _LABEL.fullmatch(label):
        raise LibraryError(f"library must have a plain name before its files, not {label!r}")
    if label or Path(listed).is_dir() or listed.endswith(_SUFFIXES) or os.sep in listed:
        paths = [Path(part) for part in ([listed] if Path(listed).exists() else listed.split(","))]
        return Library.read(*_files(paths), name=label or _short_name(paths[0].absolute()))
    known = ", ".join(dict.fromkeys(map(_short_name, defaults)))
    raise LibraryError(
        f"library must be a .lib or .lib.gz file, several with commas between them, a folder of "
        f"them, or one of {known}, not {name!r}"
    )


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are, and all that are in folders."""
    for path in paths:
        found = _liberty_files(path) if path.is_dir() else [path]
        if not found:
            raise LibraryError(
                f"library must be a folder with .lib files, but {str(path)!r} has none"
            )
        yield from found


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
        result[name] = replace(library, name=name)
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


def _library_group(path: Path) -> Group:
    """The one group that a Liberty file consists of."""
    try:
        statements = parse(_text(path))
    except LibertySyntaxError as error:
        raise LibraryError(
            f"library must be in Liberty format, but {str(path)!r} is not: {error}"
        ) from None
    match statements:
        case [Group(kind="library") as library]:
            return library
    kinds = (part.kind if isinstance(part, Group) else part.name for part in statements)
    raise LibraryError(
        f"library must be in Liberty format, one library group and nothing beside it, "
        f"but {str(path)!r} holds {', '.join(kinds) or 'nothing'}"
    )


def _text(path: Path) -> str:
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
    # Comments and strings hold names and units in any encoding; what counts is ASCII.
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _listed(names: Sequence[str]) -> str:
    """The first of many names."""
    more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


def _where(paths: Iterable[Path]) -> str:
    return " and ".join(repr(str(path)) for path in paths)


#: Statements of a library that say nothing of its cells, and those of wires: these have no delay,
#: as they have no area.
_DESCRIPTIVE = re.compile(r"comment|date|revision|library_features|define\w*")
_WIRES = re.compile(r"(default_)?wire_load\w*")


def _merged(libraries: Sequence[Group], paths: Sequence[Path]) -> Group:
    """Libraries as one: all of the first, and of the others the cells and what they define."""
    first, *others = (_without_wires(library) for library in libraries)
    body = list(first.body)
    for other, path in zip(others, paths[1:], strict=True):
        ours, theirs = _attributes(first), _attributes(other)
        differing = {name for name, _ in ours.items() ^ theirs.items()}
        known = {_title(group): group for group in body if isinstance(group, Group)}
        for group in (part for part in other.body if isinstance(part, Group)):
            if _is_cell(group) or _title(group) not in known:
                body.append(group)
            elif write([group]) != write([known[_title(group)]]):
                differing.add(_title(group))
        if differing:
            raise LibraryError(
                f"files of one library must have the same units and conditions, "
                f"but {_where([paths[0], path])} differ in {_listed(sorted(differing))}"
            )
    return replace(first, body=body)


def _without_wires(library: Group) -> Group:
    def name(part: Attribute | Group) -> str:
        return part.kind if isinstance(part, Group) else part.name

    return replace(library, body=[p for p in library.body if not _WIRES.fullmatch(name(p))])


def _attributes(library: Group) -> dict[str, str]:
    """What it states of all cells, as written, by name."""
    stated: dict[str, str] = {}
    for part in library.body:
        if isinstance(part, Attribute) and not _DESCRIPTIVE.fullmatch(part.name):
            stated[part.name] = stated.get(part.name, "") + write([part])
    return stated


def _title(group: Group) -> str:
    return f"{group.kind} ({', '.join(group.names)})"


def _is_cell(part: Attribute | Group) -> bool:
    return isinstance(part, Group) and part.kind == "cell"


def _cells(library: Group, paths: Sequence[Path]) -> dict[str, tuple[CellFacts, str]]:
    """Facts and text of the cells by name, sorted; of two cells that are alike the first."""
    cells: dict[str, tuple[CellFacts, str]] = {}
    for cell in library.groups("cell"):
        name, found = " ".join(cell.names), (_facts(cell), write([cell], "  "))
        if not _CELL_NAME.fullmatch(name):
            raise LibraryError(
                f"library must have cells with plain names, but {_where(paths)} has {name!r}"
            )
        if cells.setdefault(name, found) != found:
            raise LibraryError(
                f"library must define a cell once, but {_where(paths)} has two of {name!r}"
            )
    return dict(sorted(cells.items()))


#: A cell's name goes into the scripts of tools.
_CELL_NAME = re.compile(r"[\w.$\[\]-]+", re.ASCII)

_CLOCK_GATES = ("latch_posedge", "latch_posedge_precontrol")
_ROLES = ("clock", "enable", "test", "out")


def _facts(cell: Group) -> CellFacts:
    clock_gate = cell.value("clock_gating_integrated_cell") in _CLOCK_GATES
    return CellFacts(
        area=area_of(cell.value("area")),
        function=any(pin.value("function") for pin in cell.groups("pin")),
        dont_use=_is_true(cell.value("dont_use")),
        clock_gate=clock_gate,
        roles=dict(_roles(cell)) if clock_gate else {},
    )


def area_of(text: str | None) -> float | None:
    """The area that a value states; None if it is no number above zero."""
    try:
        area = float(text or 0)
    except ValueError:
        return None
    return area if 0 < area < math.inf else None


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() == "true"


def _roles(cell: Group) -> Iterator[tuple[str, str]]:
    for pin in cell.groups("pin"):
        for role in _ROLES:
            if _is_true(pin.value(f"clock_gate_{role}_pin")):
                yield from ((name, role) for name in pin.names)
