"""Moves TensorFlow 1 models to TF2 SavedModels, with proof; ``python -m job`` and `job.library` are the ways in."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from job.library import convert, inspect, verify
    from job.settings import Settings
else:

    def __getattr__(name: str) -> object:
        """Import the library when it is first asked for: the command line begins without it."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from job import library  # noqa: PLC0415

        return getattr(library, name)


__all__ = ["Settings", "convert", "inspect", "verify"]
