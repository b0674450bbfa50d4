"""What TensorFlow raises when a graph runs, and the one line of it that says what went wrong."""

from typing import Final

import tensorflow as tf

from job.errors import Poison

RUN_ERRORS: Final = (tf.errors.OpError, ValueError, TypeError)
"""What running a graph raises."""

NO_MESSAGE: Final = ("Graph execution", "Detected at", "<stack", "Node:", "Original stack", "Traceback", "File ", "[[")
"""How the lines begin that TensorFlow puts around an op's own message."""


def message_of(error: Exception) -> str:
    """Return the line of an error that says what went wrong; TensorFlow's text may hold bytes that are none."""
    undecoded = error.object.decode(errors="backslashreplace") if isinstance(error, UnicodeDecodeError) else ""
    text = undecoded or str(getattr(error, "message", "") or error)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith(NO_MESSAGE)]
    return lines[0][:240] if lines else type(error).__name__


def check_gpu_memory(said: str) -> None:
    """Raise `Poison` where a GPU's memory does not hold even a sample; `said` is TensorFlow's line, with the shape."""
    if "OOM when allocating" in said and "device:GPU" in said:
        remedy = "give the job a GPU with more memory, or choose --device cpu"
        raise Poison(f"the GPU's memory does not hold the model: {said}", remedy=remedy)
