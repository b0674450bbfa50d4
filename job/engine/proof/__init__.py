"""Parity: the published bytes against the original graph."""
