"""Objects put into an S3 store behind the job's back."""

import os
from functools import cache
from typing import Any
from uuid import uuid4

import boto3

_BUCKET = f"bucket-{uuid4().hex}"


def put_raw(uri: str, key: str, data: bytes) -> None:
    """Store an object behind the job's back, whatever its key."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    client().put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=data)


def client() -> Any:
    """Return a client of the store that the environment names."""
    return _client_at(os.environ["AWS_ENDPOINT_URL_S3"])


@cache
def _client_at(endpoint: str) -> Any:
    return boto3.session.Session().client("s3", endpoint_url=endpoint)


def new_prefix() -> str:
    """Return the URI of a prefix in which nothing is."""
    client().create_bucket(Bucket=_BUCKET)  # no error in us-east-1 if it is ours already
    return f"s3://{_BUCKET}/{uuid4().hex}/some"
