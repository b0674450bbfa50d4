"""Keys that are no paths, through a whole job."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.jobs import WITHOUT_TENSORFLOW, run_job
from tests.sources import GRAPH_DEF, checkpoint, saved_model
from tests.storage.moto import serving_moto

pytestmark = pytest.mark.slow

NAMES = {  # by keys
    "a//b.pb": "a/%/b.pb",
    "../up.pb": "%2E%2E/up.pb",
    "/lead.pb": "%/lead.pb",
    "esc\x1b[2J/tab\t.pb": "esc%1B[2J/tab%09.pb",
    "sp ace/ü+%25&#?'模型.pb": "sp ace/ü+%25&#?'模型.pb",
    "case.pb": "case.pb",
    "Case.pb": "Case.pb",
    "trailing.pb/": "trailing.pb",
    "both": "both",
    "both/below.pb": "both/below.pb",
}
TOO_LONG = "l" * 300 + ".pb"  # for a file


@pytest.fixture(scope="module")
def store() -> Iterator[dict[str, str]]:
    """The environment of a job that finds a store with a bucket, and nothing of this machine's."""
    said = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    with serving_moto() as endpoint:
        yield {"AWS_ENDPOINT_URL_S3": endpoint, **said, **nothing}


def test_artifacts_are_published_whatever_their_keys_are(
    store: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the one whose name no file can have is left, for itself alone, and nothing else is written."""
    for name, value in store.items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("s3")
    client.create_bucket(Bucket="bucket")
    objects = {
        **dict.fromkeys([*NAMES, TOO_LONG], GRAPH_DEF),
        **saved_model("m//../s/"),
        **checkpoint("c//x/model.ckpt"),
    }
    for key, data in objects.items():
        client.put_object(Bucket="bucket", Key=f"in/{key}", Body=data)
    ended = run_job(
        *("run", "--source", "s3://bucket/in", "--dest", str(tmp_path / "out"), "--benchmark", "off"),
        *("--device", "cpu", "--log-format", "json"),
        extra=store,
        program=WITHOUT_TENSORFLOW,
    )
    expected = {*NAMES.values(), "m/%/%2E%2E/s", "c/%/x/model.ckpt"}
    assert {one["artifact"] for one in ended.named("artifact_published")} == expected
    (failed,) = ended.named("artifact_failed")
    assert (failed["code"], ended.code) == (40, 40)
    assert TOO_LONG in failed["reason"]
    placed = {path.parent.relative_to(tmp_path / "out").as_posix() for path in tmp_path.rglob("latest.json")}
    assert placed == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
