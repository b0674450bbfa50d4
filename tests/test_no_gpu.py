"""What is to be done where TensorFlow sees no GPU, told from what the machine shows."""

from pathlib import Path

import pytest

from job.no_gpu import remedy

VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Fri Jan  3 10:00:00 UTC 2025\nGCC version: 12.2.0\n"


@pytest.mark.parametrize(
    ("files", "environment", "said"),
    [
        ({}, {}, "install NVIDIA's driver if there is a GPU"),
        ({".dockerenv": ""}, {}, "docker run --gpus all"),
        ({"run/.containerenv": ""}, {}, "docker run --gpus all"),
        ({".dockerenv": ""}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, "nvidia.com/gpu: 1"),
        ({"dev/nvidiactl": ""}, {}, "pip install '.[gpu]'"),
        ({"dev/nvidiactl": "", "proc/driver/nvidia/version": VERSION.format("550.54.15")}, {}, "pip install '.[gpu]'"),
        ({"proc/driver/nvidia/version": VERSION.format("470.256.02")}, {}, "driver 470.256.02 to 525 or later"),
        ({"proc/driver/nvidia/version": "?"}, {}, "install NVIDIA's driver"),
        ({"dev/nvidiactl": ""}, {"CUDA_VISIBLE_DEVICES": ""}, "unset CUDA_VISIBLE_DEVICES"),
        ({"dev/nvidiactl": ""}, {"CUDA_VISIBLE_DEVICES": "-1"}, "unset CUDA_VISIBLE_DEVICES"),
        ({"dev/nvidiactl": ""}, {"CUDA_VISIBLE_DEVICES": "0"}, "pip install '.[gpu]'"),
    ],
)
def test_the_machine_tells_what_is_missing(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], said: str
) -> None:
    """No driver, an old one, a container or pod that was given no GPU, a TensorFlow without CUDA, a variable."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    told = remedy(environment, tmp_path)
    assert said in told
    assert told.endswith("or choose --device cpu")
