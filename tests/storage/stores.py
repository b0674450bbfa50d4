"""The stores that contract tests run over: a directory, an S3 in this process, and a real S3 server where one runs.

A test module takes the fixtures by ``pytest_plugins = ["tests.storage.stores"]``.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from job.storage import open_storage
from job.storage.base import Storage
from job.storage.retrying import RetryBudget
from tests.storage.moto import serving_moto
from tests.storage.raw import new_prefix
from tests.storage.scripted import ScriptedStore, serving

_ENDPOINT_VARIABLE = "TF1LIFT_TEST_S3_ENDPOINT"


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    with serving_moto() as endpoint:
        yield endpoint


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which boto3 finds what a test sets, and nothing of this machine's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("job.storage.retrying.JOB", RetryBudget())
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


@pytest.fixture
def moto_uri(aws: pytest.MonkeyPatch, moto_endpoint: str) -> str:
    aws.setenv("AWS_ENDPOINT_URL_S3", moto_endpoint)
    return new_prefix()


@pytest.fixture
def server_uri(request: pytest.FixtureRequest) -> str:
    keys = {name: os.environ.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    if _ENDPOINT_VARIABLE not in os.environ:
        pytest.skip(f"{_ENDPOINT_VARIABLE} is not set; scripts/test-s3 starts a server")
    aws: pytest.MonkeyPatch = request.getfixturevalue("aws")
    for name, value in keys.items():
        aws.setenv(name, value)
    aws.setenv("AWS_ENDPOINT_URL_S3", os.environ[_ENDPOINT_VARIABLE])
    return new_prefix()


@pytest.fixture(params=["moto", pytest.param("server", marks=pytest.mark.s3)])
def s3_uri(request: pytest.FixtureRequest) -> str:
    """A bucket with a prefix, in which nothing is."""
    uri: str = request.getfixturevalue(f"{request.param}_uri")
    return uri


@pytest.fixture(params=["directory", "moto", pytest.param("server", marks=pytest.mark.s3)])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A destination of each kind, in which nothing is."""
    if request.param == "directory":
        return str(tmp_path / "store")
    uri: str = request.getfixturevalue(f"{request.param}_uri")
    return uri


@pytest.fixture
def store(uri: str) -> Storage:
    return open_storage(uri)


@pytest.fixture
def scripted(aws: pytest.MonkeyPatch) -> Iterator[ScriptedStore]:
    """A store that answers what the test says; it waits for nothing."""
    aws.setattr("botocore.endpoint.time.sleep", lambda _: None)  # eight tries would take half a minute
    aws.setattr("job.storage.retrying.time.sleep", lambda _: None)
    with serving() as store:
        aws.setenv("AWS_ENDPOINT_URL_S3", store.endpoint)
        yield store
