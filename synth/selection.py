"""Which configurations a report measures: every architecture that can be the best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dintmac.golden.formats import Format
from dintmac.hdl.catalog import DESIGNS
from dintmac.hdl.configuration import Configuration
from dintmac.synth.liberty import Library
from dintmac.synth.records import products_of
from dintmac.synth.timing import has_delays

__all__ = ["CONTENDERS", "OUTCLASSED", "contenders", "jobs_of", "selected"]

#: Architectures that are smallest in the bundled library, in one of the formats. A tile, whose area
#: is that of its elements, has none.
CONTENDERS = {
    "mac": ("nr4sd",),
    "dot": ("nr4sd",),
    "pe": ("nr4sd",),
}

#: Sizes beside the default ones, which show how ratios grow.
_GROWTH: tuple[tuple[str, dict[str, int]], ...] = (
    ("dot", {"lanes": 4}),
    ("dot", {"lanes": 64}),
    ("pe", {"lanes": 16, "outputs": 1}),
    ("pe", {"lanes": 32, "outputs": 8}),
    ("pe", {"lanes": 16, "outputs": 1, "double_buffered": 0}),
    ("pe", {"lanes": 16, "outputs": 4, "double_buffered": 0}),
)

#: What is left out of those sizes: at the default size another architecture of the same format is
#: smaller and takes less energy, in every library.
OUTCLASSED = {"dot": ("booth", "pair", "r4n", "fip"), "pe": ("pair",)}


def selected(
    designs: Sequence[str] | None,
    formats: Sequence[Format],
    *,
    growth: bool = False,
    behavioural: bool = False,
) -> list[Configuration]:
    """Designs for all formats at equal sizes, in every architecture.

    Parameters
    ----------
    designs : sequence of str or None
        All that are compared (:attr:`Design.is_compared`) if None.
    formats : sequence of Format
    growth : bool
        More sizes of ``dot`` and ``pe`` as well, without what is :data:`OUTCLASSED` there.
    behavioural : bool
        With what the synthesis tool makes of ``*`` and ``+``.

    Returns
    -------
    list of Configuration, by design and number of products.
    """
    compared = [name for name, design in DESIGNS.items() if design.is_compared]
    names = compared if designs is None else dict.fromkeys(designs)
    configurations = [
        Configuration(design, format, architecture.name)
        for design in names
        for format in formats
        for architecture in DESIGNS.find(design).architectures_of(format)
        if behavioural or architecture.makes_products
    ]
    if growth:
        configurations += _growth(formats)
    order = list(DESIGNS)
    return sorted(configurations, key=lambda c: (order.index(c.design), products_of(c.parameters)))


def contenders(
    designs: Sequence[str] | None, formats: Sequence[Format], *, behavioural: bool = False
) -> list[Configuration]:
    """The default sizes, in the architectures that can be the smallest alone.

    A design and format without :data:`CONTENDERS` is there in all its architectures.

    Parameters
    ----------
    designs : sequence of str or None
        Those of :data:`CONTENDERS` if None.
    formats, behavioural
        As for :func:`selected`.
    """
    return [
        configuration
        for configuration in selected(designs or list(CONTENDERS), formats, behavioural=behavioural)
        if _can_be_smallest(configuration)
    ]


def jobs_of(
    configurations: Sequence[Configuration],
    libraries: Sequence[Library],
    target_delays_ns: Sequence[float] = (),
) -> list[tuple[Configuration, Library, float | None]]:
    """All configurations in all libraries, for the smallest area and, with delays, for targets.

    Parameters
    ----------
    configurations : sequence of Configuration
    libraries : sequence of Library
    target_delays_ns : sequence of float
        Clock periods; a library without delays does not take part in them.

    Returns
    -------
    list of (Configuration, Library, target_delay_ns), by library, configuration and target.

    Raises
    ------
    ValueError
        If there are targets, but no library states delays.
    """
    if target_delays_ns and not any(map(has_delays, libraries)):
        names = ", ".join(library.name for library in libraries)
        raise ValueError(
            f"target delay must go with a library that states delays, but {names} does not"
        )
    targets = [None, *dict.fromkeys(target_delays_ns)]
    return [
        (configuration, library, target)
        for library in libraries
        for configuration in configurations
        for target in (targets if has_delays(library) else [None])
    ]


def _can_be_smallest(configuration: Configuration) -> bool:
    contenders = CONTENDERS.get(configuration.design, ())
    built = DESIGNS[configuration.design].built_architectures(configuration.format)
    if not any(architecture in contenders for architecture in built):
        return True
    return configuration.architecture in (*contenders, "behavioural")


def _growth(formats: Sequence[Format]) -> Iterator[Configuration]:
    for design, sizes in _GROWTH:
        for format in formats:
            for architecture in DESIGNS[design].built_architectures(format):
                if architecture not in OUTCLASSED[design]:
                    yield Configuration(design, format, architecture, sizes)
