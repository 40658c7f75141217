"""Synthesis of the designs to standard cells, checks of the netlists, and records of both."""
