import pytest

from job.device_faults import device_error, fault_in


@pytest.mark.parametrize(
    "line",
    [
        "CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered",
        "failed call to cuEventRecord: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
        "INTERNAL: Failed to synchronize GPU: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
        "could not synchronize on CUDA context: CUDA_ERROR_CONTEXT_IS_DESTROYED",
        "Unexpected Event status: 1",
    ],
)
def test_gpu_that_failed_is_known_by_what_cuda_says(line: str) -> None:
    """The line is found within a longer text, and stands in the error."""
    assert fault_in(f"Detected at node 'x'\n\t [[{{node x}}]]\n{line}\nmore") == line
    assert line in str(device_error("verify", fault_in(f"before\n{line}")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "OOM when allocating tensor with shape[4096,4096] and type float on /job:localhost/replica:0/device:GPU:0",
        "failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
        "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "Incompatible shapes: [2] vs. [3]",
    ],
)
def test_other_errors_are_not_the_gpus_fault(text: str) -> None:
    """A GPU that is absent or full has not failed: another machine would say the same of the model."""
    assert fault_in(text) == ""
