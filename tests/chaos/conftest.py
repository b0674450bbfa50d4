"""An S3 server to put bad networks before: one within this process, and a real one where it runs."""

import os

import pytest


@pytest.fixture(params=["moto", pytest.param("server", marks=pytest.mark.s3)])
def endpoint(request: pytest.FixtureRequest) -> str:
    """Return the URL of a server whose keys the environment holds."""
    request.getfixturevalue(f"{request.param}_uri")
    return os.environ["AWS_ENDPOINT_URL_S3"]
