"""What TensorFlow raises when a graph runs, and the one line of it that says what went wrong."""

from typing import Final

import tensorflow as tf

RUN_ERRORS: Final = (tf.errors.OpError, ValueError, TypeError)
"""What running a graph raises."""

NO_MESSAGE: Final = ("Graph execution", "Detected at", "<stack", "Node:", "Original stack", "Traceback", "File ", "[[")
"""How the lines begin that TensorFlow puts around an op's own message."""


def message_of(error: Exception) -> str:
    """Return the line of an error that says what went wrong."""
    text = str(getattr(error, "message", "") or error)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(NO_MESSAGE)]
    return lines[0][:240] if lines else type(error).__name__
