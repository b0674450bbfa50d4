"""Inputs that a graph accepts, made from the graph itself."""
