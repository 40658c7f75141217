"""A multiply-accumulate unit."""

from __future__ import annotations

from dintmac.golden.formats import Format
from dintmac.hdl.dot_product import DotProduct

__all__ = ["Mac"]


class Mac(DotProduct):
    """Multiplies one weight by one activation a cycle and accumulates: a dot product of one lane.

    Parameters
    ----------
    format : Format
        Weight format.
    depth : int
        Greatest number of products in a sum.
    architecture : str or None
        Name of the multiplier architecture; the default of the format if None.
    operand_register, tree_register, fast_adder, carry_save : int
        As in :class:`DotProduct`.

    Members, latency and errors are those of :class:`DotProduct`.
    """

    def __init__(
        self,
        *,
        format: Format,
        depth: int,
        architecture: str | None = None,
        operand_register: int = 0,
        tree_register: int = 0,
        fast_adder: int = 0,
        carry_save: int = 0,
    ) -> None:
        super().__init__(
            format=format,
            depth=depth,
            lanes=1,
            architecture=architecture,
            operand_register=operand_register,
            tree_register=tree_register,
            fast_adder=fast_adder,
            carry_save=carry_save,
        )
