"""Bench of the MAC: it behaves as a dot product of one lane and has its tests."""

from __future__ import annotations

from dintmac.sim.benches.dot_product import TESTS, Bench

__all__ = ["TESTS", "Bench"]
