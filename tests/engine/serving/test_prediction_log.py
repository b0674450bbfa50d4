"""The records of a warm-up, held against what tensorflow-serving-api has written."""

import pytest
import tensorflow as tf

from job.engine.prediction_log import predict_log, request_in
from tests.engine.serving.make_requests import GOLDEN, REQUESTS


@pytest.fixture(scope="module")
def golden() -> list[bytes]:
    """Return the records that the package itself has written."""
    return [record.numpy() for record in tf.data.TFRecordDataset(str(GOLDEN))]


def test_records_are_those_of_the_real_package(golden: list[bytes]) -> None:
    """Numbers and types of all fields are Serving's own, to the byte."""
    assert [predict_log(signature, inputs) for signature, inputs in REQUESTS] == golden


def test_what_the_real_package_has_written_is_read(golden: list[bytes]) -> None:
    """What is asked of the model before publication is what a server would read."""
    for record, (signature, inputs) in zip(golden, REQUESTS, strict=True):
        assert request_in(record) == (signature, inputs)
