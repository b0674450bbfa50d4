import time
from collections.abc import Iterator

import pytest

from job.redaction import environment_secrets, is_secret_name, printable, redacted

CANARY = "cAnArY0123456789"

SECRETS = (
    f"AKIA{CANARY.upper()}",
    f"credentials ASIA{CANARY.upper()} expired",
    f"Authorization: AWS4-HMAC-SHA256 Credential={CANARY}/20240101, Signature={CANARY}",
    f"{{'Authorization': b'Basic {CANARY}', 'Host': 'h'}}",
    f"authorization: bearer {CANARY}",
    f"sent Bearer {CANARY} to the server",
    f"https://user:{CANARY}@host/path",
    f"s3://{CANARY}@bucket/key",
    f"https://host/bucket/key?X-Amz-Signature={CANARY}&X-Amz-Date=1",
    f"https://host/blob?sig={CANARY}",
    f"Max retries exceeded with url: /bucket/key?X-Amz-Credential={CANARY}&x-amz-security-token={CANARY}",
    f"/bucket/key?AWSAccessKeyId=x&Signature={CANARY}&Expires=1",
    f"X-Amz-Security-Token: {CANARY}",
    f"'x-amz-security-token': '{CANARY}'",
    f"aws_secret_access_key = {CANARY}",
    f'{{"SecretAccessKey": "{CANARY}", "SessionToken": "{CANARY}"}}',
    f"<SecretAccessKey>{CANARY}</SecretAccessKey><SessionToken>{CANARY}</SessionToken>",
    f"password={CANARY}",
    f"AWS_SESSION_TOKEN={CANARY}",
)

INNOCENT = (
    "bert/embeddings/token_type_embeddings:0",
    "input_tokens:0 float32 [?, 128]",
    "s3://models/tf1/resnet50/saved_model.pb",
    "https://docs.example.org/guide/page.html",
    "the key vision/a@b/model.ckpt is missing",
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "relative error 0.031 exceeds 1e-05; worst at [0, 17]: baseline 1, candidate 2",
    "no permission to list s3://models/; grant s3:ListBucket",
)


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_is_left(text: str) -> None:
    """Keys, headers, userinfo, presigned queries and name=value pairs lose what is secret in them."""
    assert CANARY.lower() not in redacted(text).lower()
    assert "[redacted]" in redacted(text)


@pytest.mark.parametrize("text", INNOCENT)
def test_innocent_text_is_left_alone(text: str) -> None:
    """Tensor names, addresses, digests and messages stay as they are."""
    assert redacted(text) == text


def test_host_and_path_stay_readable() -> None:
    """A presigned address loses its query and userinfo, not the place that it names."""
    assert redacted("https://u:p@host/bucket/key?a=b") == "https://[redacted]@host/bucket/key?[redacted]"


def test_only_the_line_of_the_header_is_lost() -> None:
    """What follows an Authorization header on the next line is kept."""
    assert redacted("Authorization: x y z\nHost: h").endswith("\nHost: h")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Let the environment that a test makes be the one that the process was started with."""
    environment_secrets.cache_clear()
    yield monkeypatch
    environment_secrets.cache_clear()


def test_secrets_of_the_environment_are_known_by_value(started: pytest.MonkeyPatch) -> None:
    """A secret that was given by the environment is taken out wherever it turns up, without any pattern."""
    started.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    assert redacted(f"the server said {CANARY}!") == "the server said [redacted]!"


def test_paths_and_short_values_of_the_environment_are_no_secrets(started: pytest.MonkeyPatch) -> None:
    """A token *file* is named in messages, and a short value would blot out innocent text."""
    started.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token")
    started.setenv("SOME_TOKEN", "a")
    assert redacted("cannot read /var/run/token") == "cannot read /var/run/token"


@pytest.mark.parametrize("name", ["aws_secret_access_key", "Password", "session_token", "credentials", "Authorization"])
def test_secret_names_are_known(name: str) -> None:
    """Fields of these names are left out whatever they hold."""
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["key", "artifact", "signature", "passed", "stage"])
def test_plain_names_are_not_secret(name: str) -> None:
    """The job's own field names do not look like secrets."""
    assert not is_secret_name(name)


@pytest.mark.parametrize("piece", ["x", "a://", "secret", "bearer ", "authorization", "x-amz-", "token ", "'"])
def test_time_grows_with_the_length_only(piece: str) -> None:
    """A hundred kilobytes of what almost matches take below two seconds and not minutes."""
    text = piece * (100_000 // len(piece))
    start_s = time.perf_counter()
    redacted(text)
    assert time.perf_counter() - start_s < 2


def test_invisible_characters_are_escaped() -> None:
    """Escape sequences, line breaks, direction overrides and lone surrogates are spelled out, letters are not."""
    assert printable("a\x1b[31m\r\nb\u202ec\udc80é日") == "a\\x1b[31m\\r\\nb\\u202ec\\udc80é日"
