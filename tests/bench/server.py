"""The S3 server that scripts/with-s3 starts, for as long as something is measured on it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from tests.bench.contest import ROOT, Unable

TELL: Final = 'echo "READY $TF1LIFT_TEST_S3_ENDPOINT $AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $CEPH_CONF"; cat'
"""Says how to reach the server, and keeps it until nobody listens any more."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """An S3 server with a bucket; `environment` is what reaches it."""

    endpoint: str
    environment: dict[str, str] = field(repr=False)
    ceph_conf: str

    def forget(self) -> None:
        """Give back the memory of what was deleted, which the server would keep for hours."""
        command = ["radosgw-admin", "gc", "process", "--include-all"]
        subprocess.run(command, env=os.environ | {"CEPH_CONF": self.ceph_conf}, check=True, capture_output=True)


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server; raises `Unable` with the reason where there can be none."""
    process = subprocess.Popen(
        [str(ROOT / "scripts/with-s3"), "bash", "-c", TELL],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout  # it was asked for
        said = ""
        for line in process.stdout:
            if line.startswith("READY "):
                yield _server(*line.split()[1:])
                return
            said = line.strip()
    raise Unable(said or "scripts/with-s3 says nothing")


def _server(endpoint: str, key: str, secret: str, ceph_conf: str) -> Server:
    environment = {
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL_S3": endpoint,
        "RCLONE_S3_ENDPOINT": endpoint,
    }
    return Server(endpoint=endpoint, environment=environment, ceph_conf=ceph_conf)
