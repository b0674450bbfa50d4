import pytest

from job.discovery import discover
from job.errors import NoInput
from tests.sources import MemoryStorage

KERAS_3 = b"PK\x03\x04" + bytes(26) + b"metadata.json" + b"config.json"
PYTORCH = b"PK\x03\x04" + bytes(26) + b"archive/data.pkl"
TFLITE = b"\x1c\0\0\0TFL3" + bytes(20)


@pytest.mark.parametrize(
    ("name", "data", "what", "remedy"),
    [
        ("m.keras", KERAS_3, "m.keras, for one: it is a Keras 3 model", "keras.saving.load_model"),
        ("m.pt", PYTORCH, "m.pt, for one: it is a PyTorch file", "give a TensorFlow model"),
        ("m.tflite", TFLITE, "m.tflite, for one: it is a TensorFlow Lite model", "that it was made from"),
        ("m.py", b"import torch", "a.py, for one: .py files hold no models", "name a prefix or directory"),
    ],
)
def test_a_model_of_something_else_is_named_with_its_remedy(name: str, data: bytes, what: str, remedy: str) -> None:
    """Among files of no interest it is the model of another framework that a user means."""
    source = MemoryStorage({"a.py": b"import torch", name: data})
    with pytest.raises(NoInput) as caught:
        discover(source, only="*")
    assert what in caught.value.what
    assert remedy in caught.value.remedy


def test_an_empty_source_is_called_that() -> None:
    """A listing of nothing has no example to give."""
    with pytest.raises(NoInput, match="the source is empty: 0 objects listed"):
        discover(MemoryStorage({}), only="*")
