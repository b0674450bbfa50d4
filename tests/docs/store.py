"""The store behind the pages' ``s3://models/``: a real S3 server where `scripts/with-s3` has one, else moto's."""

import fcntl
import logging
import os
from collections.abc import Iterator
from typing import Any, Final

import boto3
import pytest

from tests.jobs import GOLDENS
from tests.storage.moto import serving_moto

BUCKET: Final = "models"
MODELS: Final = ("ref_variables_checkpoint", "resource_variables_saved_model", "cond_frozen")
"""What lies below ``s3://models/tf1/``."""

_ENDPOINT: Final = "TF1LIFT_TEST_S3_ENDPOINT"
_NOT_OF_THE_MODEL: Final = ("case.json", "golden.npz")


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The URL of an S3 server."""
    if _ENDPOINT in os.environ:
        yield os.environ[_ENDPOINT]
        return
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # not every request
    with serving_moto() as url:
        yield url


@pytest.fixture
def pages_store(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables by which a job reaches a bucket that holds models below ``tf1/`` and nothing else.

    Pages have it one after another, in whatever processes they are typed.
    """
    variables = {
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "testkey"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "testsecret"),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    bucket = boto3.resource(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    ).Bucket(BUCKET)
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "pages_store.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fill(bucket)
        yield variables


def _fill(bucket: Any) -> None:
    bucket.create()
    bucket.objects.all().delete()
    for model in MODELS:
        for path in sorted((GOLDENS / model).rglob("*")):
            if path.is_file() and path.name not in _NOT_OF_THE_MODEL:
                bucket.upload_file(str(path), f"tf1/{path.relative_to(GOLDENS)}")
