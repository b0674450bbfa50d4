"""What lies at a source or a destination, seen past the job, its code and any proxy."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

import boto3
from botocore.config import Config

ENDPOINT_VARIABLE: Final = "TF1LIFT_TEST_S3_ENDPOINT"


def server() -> str:
    """Return the URL of the S3 server that the environment names; ends the program where it names none."""
    if ENDPOINT_VARIABLE not in os.environ:
        sys.exit(f"{ENDPOINT_VARIABLE} is not set; scripts/with-s3 starts a server and sets it")
    return os.environ[ENDPOINT_VARIABLE]


class Shelf(Protocol):
    """Objects by their keys."""

    @property
    def uri(self) -> str:
        """Return how a job names it."""

    @property
    def extra(self) -> Mapping[str, str]:
        """Return the environment that a job needs for it."""

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""

    def sizes(self) -> dict[str, int]:
        """Return every key with its size."""

    def read(self, key: str) -> bytes:
        """Return an object; raises `FileNotFoundError` or `KeyError` where there is none."""


@dataclass(frozen=True)
class Folder:
    """A directory."""

    root: Path
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """See `Shelf`."""
        return str(self.root)

    def put(self, key: str, data: bytes) -> None:
        """See `Shelf`."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def sizes(self) -> dict[str, int]:
        """See `Shelf`; what is removed meanwhile counts nothing."""
        sizes = dict[str, int]()
        for folder, _, names in os.walk(self.root):
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):
                    sizes[path.relative_to(self.root).as_posix()] = path.stat().st_size
        return sizes

    def read(self, key: str) -> bytes:
        """See `Shelf`."""
        return (self.root / key).read_bytes()


class Bucket:
    """A new prefix in a bucket of the server at `endpoint`; raises `KeyError` where the environment has no keys."""

    name = "chaos"

    def __init__(self, endpoint: str) -> None:
        keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        self.prefix = uuid4().hex
        self.uri = f"s3://{self.name}/{self.prefix}"
        self.extra: Mapping[str, str] = keys | {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": endpoint,
        }
        self._client: Any = boto3.session.Session(*keys.values(), region_name="us-east-1").client(
            "s3", endpoint_url=endpoint, config=Config(request_checksum_calculation="when_required")
        )
        self._client.create_bucket(Bucket=self.name)

    def put(self, key: str, data: bytes) -> None:
        """See `Shelf`."""
        self._client.put_object(Bucket=self.name, Key=f"{self.prefix}/{key}", Body=data)

    def sizes(self) -> dict[str, int]:
        """See `Shelf`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"{self.prefix}/")
        found = [item for page in pages for item in page.get("Contents", ())]
        return {item["Key"].removeprefix(f"{self.prefix}/"): item["Size"] for item in found}

    def read(self, key: str) -> bytes:
        """See `Shelf`."""
        try:
            body = self._client.get_object(Bucket=self.name, Key=f"{self.prefix}/{key}")["Body"]
        except self._client.exceptions.NoSuchKey as error:
            raise KeyError(key) from error
        data: bytes = body.read()
        return data

    def empty(self) -> None:
        """Remove all of it."""
        for key in self.sizes():
            self._client.delete_object(Bucket=self.name, Key=f"{self.prefix}/{key}")
