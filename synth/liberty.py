"""Finds Liberty libraries and reads what the recipes need to know of them."""

from __future__ import annotations

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


#: How many cells a message names.
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
    """A Liberty library: all that its file holds, whatever becomes of the file.

    Attributes
    ----------
    name : str
        Short name, for people and records.
    path : Path
        A ``.lib`` or ``.lib.gz`` file.
    area_unit : str
        ``GE`` for the bundled library, ``µm²`` for all others.
    sha256 : str
        Of :meth:`text`: the same however the file is laid out and its cells are ordered.
    facts : dict of str to CellFacts
        Of every cell, by name.
    """

    name: str
    path: Path
    area_unit: str
    sha256: str
    facts: dict[str, CellFacts] = field(compare=False, repr=False)
    _head: str = field(compare=False, repr=False)
    _cells: dict[str, str] = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> Library:
        """Read a file and name it.

        Raises
        ------
        LibraryError
            If it is missing, unreadable, damaged or no Liberty file.
        """
        library = _library_group(path)
        cells = _cells(library, path)
        head = replace(library, body=[part for part in library.body if _belongs_to_head(part)])
        bundled = path.resolve().parent == _BUNDLED.resolve()
        unhashed = cls(
            name=_short_name(path),
            path=path,
            area_unit=_GATE_EQUIVALENTS if bundled else _SQUARE_MICROMETRES,
            sha256="",
            facts={name: facts for name, (facts, _) in cells.items()},
            _head=write([head]).removesuffix("}\n"),
            _cells={name: text for name, (_, text) in cells.items()},
        )
        return replace(unhashed, sha256=hashlib.sha256(unhashed.text().encode()).hexdigest())

    @property
    def left_alone(self) -> str:
        """Which cells could be used, but have no area to count; empty if there are none."""
        names = [
            name
            for name, facts in self.facts.items()
            if facts.function and not facts.dont_use and facts.area is None
        ]
        more = [f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else []
        listed = ", ".join(names[:_NAMED] + more)
        return f"without an area above zero, and left alone: {listed}" if names else ""

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


def _belongs_to_head(part: Attribute | Group) -> bool:
    """Whether a statement stands before the cells. Wires have no delay, as they have no area."""
    if isinstance(part, Group):
        return part.kind != "cell"
    return not part.name.startswith("default_wire_load")


def _cells(library: Group, path: Path) -> dict[str, tuple[CellFacts, str]]:
    """Facts and text of the cells by name, sorted; of two cells that are alike the first."""
    cells: dict[str, tuple[CellFacts, str]] = {}
    for cell in library.groups("cell"):
        name, found = " ".join(cell.names), (_facts(cell), write([cell], "  "))
        if not _CELL_NAME.fullmatch(name):
            raise LibraryError(
                f"library must have cells with plain names, but {str(path)!r} has {name!r}"
            )
        if cells.setdefault(name, found) != found:
            raise LibraryError(
                f"library must define a cell once, but {str(path)!r} has two of {name!r}"
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
