import time
from pathlib import Path

import pytest

from job.errors import BadInput, CredentialsExpired, Denied, JobError, StorageError, UsageError
from job.records import StoredObject
from job.storage import open_storage
from job.storage.s3 import S3Storage
from tests.storage.scripted import Answer, ScriptedStore, error

pytest_plugins = ["tests.storage.stores"]


@pytest.fixture
def store() -> S3Storage:
    return S3Storage("bucket", "some/prefix")


def test_a_store_that_is_always_busy_fails(scripted: ScriptedStore, store: S3Storage) -> None:
    """After eight tries it is the store's failure, which another run may not meet."""
    scripted.answer(error(503, "SlowDown", "Please reduce your request rate."))
    with pytest.raises(StorageError, match="SlowDown, Please reduce"):
        store.read("key")
    assert len(scripted.requests) == 8


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (error(404, "NoSuchBucket"), Denied, "the bucket does not exist"),
        (error(403, "AccessDenied"), Denied, "s3:ListBucket is not allowed"),
        (error(403, "InvalidAccessKeyId"), Denied, "AWS_ACCESS_KEY_ID"),
        (error(403, "SignatureDoesNotMatch"), Denied, "AWS_SECRET_ACCESS_KEY"),
        (error(400, "AuthorizationHeaderMalformed", extra="<Region>eu-west-1</Region>"), Denied, "eu-west-1"),
        (error(400, "IllegalLocationConstraintException"), Denied, "set AWS_REGION"),
        (error(400, "ExpiredToken"), CredentialsExpired, "renew the credentials"),
        (error(403, "RequestTimeTooSkewed"), StorageError, "set the clock"),
        (Answer(status=301, headers={"x-amz-bucket-region": "eu-west-2"}), Denied, "eu-west-2"),
        (error(301, "PermanentRedirect", extra="<Endpoint>elsewhere</Endpoint>"), Denied, "set AWS_REGION"),
        (error(403, "AccessDenied", "not authorized to perform: kms:Decrypt on resource"), Denied, "allow kms:"),
        (error(301, "PermanentRedirect", extra="<Region>eu-west-9</Region>"), Denied, "eu-west-9"),
        (Answer(body=b"<html/>", headers={"Content-Type": "text/html"}), StorageError, "and proxies on the way"),
        (Answer(body=b"no XML <"), StorageError, "8 failed"),
        (Answer(status=404, body=b"<html/>"), Denied, "the bucket does not exist (404)"),
        (error(418, "Teapot"), StorageError, "Teapot"),
        (error(404, "NoSuchKey"), Denied, "without a bucket's name or a path"),
        (
            error(400, "AuthorizationHeaderMalformed", extra="<Region>eu-west-1</Region>"),
            Denied,
            "AWS_REGION=eu-west-1",
        ),
        (Answer(status=400, body=b"Client sent an HTTP request to an HTTPS server.\n"), Denied, "write https:// in"),
    ],
)
def test_answers_become_errors(
    scripted: ScriptedStore, store: S3Storage, answer: Answer, kind: type[JobError], said: str
) -> None:
    """What a store answers has its own code, and one line with bucket, endpoint, region and remedy."""
    scripted.answer(answer)
    with pytest.raises(JobError) as caught:
        list(store.list())
    line = str(caught.value)
    assert type(caught.value) is kind
    assert said in line
    assert "s3://bucket/some/prefix" in line
    assert "at http://127.0.0.1:" in line
    assert "region us-east-1" in line
    assert "\n" not in line
    assert "testsecret" not in line


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(404, "NoSuchKey"), "deleted meanwhile"),
        (Answer(status=404, body=b"<html/>"), "deleted meanwhile"),
        (error(403, "AccessDenied"), "allow s3:GetObject"),
        (error(403, "AccessDenied", "no identity-based policy allows the kms:Decrypt action"), "allow kms:Decrypt"),
        (error(400, "KMS.DisabledException"), "enable that key"),
        (error(403, "InvalidObjectState"), "restore it"),
    ],
)
def test_what_one_object_answers_is_that_artifacts_error(
    scripted: ScriptedStore, store: S3Storage, tmp_path: Path, answer: Answer, said: str
) -> None:
    """Deleted since it was listed, forbidden, encrypted with a key that is not ours, archived: others may be read."""
    scripted.answer(answer)
    stored = StoredObject(key="model.pb", size_bytes=4, etag='"one"')
    for get in (lambda: store.read("model.pb"), lambda: store.download(stored, tmp_path / "copy")):
        with pytest.raises(BadInput) as caught:
            get()
        assert said in caught.value.remedy
        assert "s3://bucket/some/prefix/model.pb" in caught.value.where
    assert len(scripted.requests) == 2
    assert list(tmp_path.iterdir()) == []


def test_one_forbidden_object_is_that_artifacts_error(scripted: ScriptedStore, store: S3Storage) -> None:
    """That one object may not be read says nothing of the others."""
    scripted.answer(error(403, "AccessDenied"))
    with pytest.raises(BadInput, match="s3:GetObject"):
        store.read("secret.pb")


def test_a_destination_without_permission_is_denied_at_the_probe(scripted: ScriptedStore, store: S3Storage) -> None:
    """That nothing may be written shows before any work, and names the permission."""
    scripted.answer(error(403, "AccessDenied"))
    with pytest.raises(Denied, match="s3:PutObject"):
        store.supports_create_only()


def test_an_unreachable_endpoint_fails_soon(store: S3Storage, aws: pytest.MonkeyPatch) -> None:
    """Nobody waits minutes to learn that an endpoint is misspelt."""
    aws.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(StorageError, match="cannot be reached") as caught:
        list(store.list())
    assert time.monotonic() - start < 15
    assert "http://127.0.0.1:9" in caught.value.where
    assert "AWS_ENDPOINT_URL_S3" in caught.value.remedy


def test_an_endpoint_that_answered_once_is_waited_for(scripted: ScriptedStore, store: S3Storage) -> None:
    """A store that drops connections in the middle of a run gets all eight tries."""
    scripted.answer(Answer(body=b"data"), *[Answer(silent=True)] * 7, Answer(body=b"more"))
    assert store.read("key") == b"data"
    assert store.read("key") == b"more"


def test_an_unknown_host_is_named(store: S3Storage, aws: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is said in so many words."""
    aws.setenv("AWS_ENDPOINT_URL_S3", "http://nowhere.invalid")
    with pytest.raises(StorageError, match=r"Failed to resolve 'nowhere\.invalid'"):
        store.read("key")


def test_tls_that_fails_is_an_unreachable_endpoint(
    scripted: ScriptedStore, store: S3Storage, aws: pytest.MonkeyPatch
) -> None:
    """A port that speaks no TLS, or a certificate that nobody trusts, is said to be that."""
    aws.setenv("AWS_ENDPOINT_URL_S3", scripted.endpoint.replace("http:", "https:"))
    with pytest.raises(StorageError, match=r"cannot be reached.*SSL.*write http:// in AWS_ENDPOINT_URL_S3"):
        store.read("key")
    assert scripted.requests == []


def test_no_credentials_says_what_to_set(store: S3Storage, aws: pytest.MonkeyPatch) -> None:
    """Without credentials no request is made."""
    aws.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Denied, match="no credentials") as caught:
        store.read("key")
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy


def test_an_impossible_endpoint_is_the_users_mistake(store: S3Storage, aws: pytest.MonkeyPatch) -> None:
    """An endpoint without a scheme ends with a word about the variable."""
    aws.setenv("AWS_ENDPOINT_URL_S3", "minio:9000")
    with pytest.raises(UsageError, match="minio:9000") as caught:
        store.read("key")
    assert "AWS_ENDPOINT_URL_S3" in caught.value.remedy


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("AWS_PROFILE", "nobody", "profile (nobody) could not be found"),
        ("AWS_REGION", "us east", "us east"),
        ("AWS_SECRET_ACCESS_KEY", "", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_what_keeps_a_client_from_being_made_is_named(
    store: S3Storage, aws: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """A profile, a region or half a pair of keys: the variable is in the remedy, and no traceback."""
    aws.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    if value:
        aws.setenv(variable, value)
    else:
        aws.delenv(variable)
    with pytest.raises(UsageError) as caught:
        store.read("key")
    assert said in caught.value.what
    assert "AWS_PROFILE, AWS_REGION, the credentials" in caught.value.remedy


def test_the_region_that_the_remedy_names_is_taken(
    scripted: ScriptedStore, store: S3Storage, aws: pytest.MonkeyPatch
) -> None:
    """``AWS_REGION`` is what other SDKs read and what we tell people to set; boto3 itself has another variable."""
    scripted.answer(error(403, "AccessDenied"))
    aws.setenv("AWS_REGION", "eu-west-3")
    with pytest.raises(Denied, match="region eu-west-3"):
        list(store.list())


def test_an_impossible_bucket_is_the_users_mistake(scripted: ScriptedStore) -> None:
    """A bucket's name that cannot be is not sent."""
    with pytest.raises(UsageError, match="Invalid bucket name"):
        list(S3Storage("no_bucket!", "x").list())
    assert scripted.requests == []


def test_the_bucket_that_was_meant_is_named(moto_uri: str) -> None:
    """A bucket that is not there has a neighbour whose name is like its own, where the store lists them."""
    bucket = moto_uri.removeprefix("s3://").partition("/")[0]
    with pytest.raises(Denied, match=f"did you mean '{bucket}'"):
        list(open_storage(f"s3://{bucket[:-1]}/x").list())


def test_who_may_not_list_buckets_is_told_of_none(scripted: ScriptedStore, store: S3Storage) -> None:
    """The question after other buckets is refused, and the error is the first one."""
    scripted.answer(error(404, "NoSuchBucket"), error(403, "AccessDenied"))
    with pytest.raises(Denied, match="the bucket does not exist") as caught:
        list(store.list())
    assert caught.value.remedy == "create it, or check its name and AWS_ENDPOINT_URL_S3"


@pytest.mark.usefixtures("s3_uri")
def test_a_missing_bucket_is_denied() -> None:
    """A store that answers by the book is understood."""
    with pytest.raises(Denied, match="s3://no-such-bucket/x"):
        list(open_storage("s3://no-such-bucket/x").list())


@pytest.mark.s3
def test_a_wrong_secret_is_denied(server_uri: str, aws: pytest.MonkeyPatch) -> None:
    """A store that checks signatures refuses ours, and we say which variable is wrong."""
    aws.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(Denied, match="AWS_SECRET_ACCESS_KEY"):
        list(open_storage(server_uri).list())
