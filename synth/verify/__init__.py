"""Proofs of the control logic by SymbiYosys."""
