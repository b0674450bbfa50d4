import pytest
import tensorflow as tf

from job.engine.run_errors import check_gpu_memory, message_of
from job.errors import Poison

OOM = "OOM when allocating tensor with shape[65536,65536] and type float on {} by allocator {}"


def test_gpu_too_small_for_a_sample_is_the_artifacts_poison() -> None:
    """The error has the shape that was asked for, and what would help."""
    error = tf.errors.ResourceExhaustedError(None, None, OOM.format("/job:localhost/device:GPU:0", "GPU_0_bfc"))
    with pytest.raises(Poison, match=r"shape\[65536,65536\].*GPU with more memory, or choose --device cpu"):
        check_gpu_memory(message_of(error))


@pytest.mark.parametrize("said", ["", OOM.format("/job:localhost/device:CPU:0", "cpu"), "Incompatible shapes on GPU:0"])
def test_other_refusals_are_of_the_sample(said: str) -> None:
    """On the CPU a made-up sample may ask for any size: another one may do."""
    check_gpu_memory(said)
    assert "device:GPU" not in said


def test_a_message_that_quotes_bytes_is_shown() -> None:
    """TensorFlow's Python raises another error where its own message is no text; what it said is told all the same."""
    error = UnicodeDecodeError("utf-8", b"different value for same key \x81", 29, 30, "invalid start byte")
    assert message_of(error) == "different value for same key \\x81"
