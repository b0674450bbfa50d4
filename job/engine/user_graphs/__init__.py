"""Graphs that users give to checkpoints which have none: a file, or a function of theirs."""
