"""URIs and paths that lead to no store, and what whoever wrote them should write."""

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from job.errors import UsageError

_COPY: Final = "copy it into a directory or a bucket first"

_REMEDIES: Final = {
    "gs": "name it s3://bucket/prefix, with AWS_ENDPOINT_URL_S3=https://storage.googleapis.com and an HMAC key, "
    "or copy it here: gcloud storage cp -r",
    "hdfs": f"{_COPY}: hdfs dfs -get",
    **dict.fromkeys(("abfs", "abfss", "az", "wasb", "wasbs"), f"{_COPY}: azcopy copy --recursive"),
    **dict.fromkeys(("s3a", "s3n"), "write s3:// in its place"),
    **dict.fromkeys(("http", "https"), "download it first and name it, as /path/to/model.tar.gz: archives are opened"),
    **dict.fromkeys(("dbfs", "ftp", "sftp", "ssh", "wandb", "mlflow", "models", "runs", "hf"), _COPY),
}
_HUBS: Final = ("tfhub.dev", "kaggle.com")
_HUB: Final = (  # no query in it: what follows a question mark is taken for a signature, and not printed
    "download it first and name the archive: curl -LG -d tf-hub-format=compressed -o module.tar.gz https://tfhub.dev/…"
)
_BUCKETS_HOST: Final = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-](?:dualstack\.)?(?:[a-z0-9-]+\.)?amazonaws\.com")
_NO_URI: Final = re.compile(r"(?:s3:/?|arn:aws[a-z-]*:s3:::)(?P<rest>[^/].*)", re.IGNORECASE)

_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
"""What Docker and Podman leave in a container; Kubernetes leaves nothing."""

SUPPORTED: Final = "use a path, file:///path or s3://bucket/prefix; other clouds speak S3 too: AWS_ENDPOINT_URL_S3"


def unknown(scheme: str, uri: str) -> UsageError:
    """Return what is said of a URI whose scheme is no store's."""
    remedy = _of_host(uri) if scheme.lower() in ("http", "https") else ""
    if scheme.lower() == "s3":
        remedy = f"write s3://{uri.partition('://')[2]}"
    return UsageError(
        f"{scheme}:// is no store that we know", where=uri, remedy=remedy or _REMEDIES.get(scheme.lower(), SUPPORTED)
    )


def _of_host(uri: str) -> str:
    """Return what to write for a web address of which the host says what it is; empty for all others."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # a bracket that opens no address
        return ""
    host = parts.hostname or ""
    if any(host == hub or host.endswith(f".{hub}") for hub in _HUBS):
        return _HUB
    told = _BUCKETS_HOST.fullmatch(host)
    if not told:
        return ""
    place = f"{told['bucket']}{parts.path}" if told["bucket"] else parts.path.lstrip("/")
    return f"write s3://{place or 'bucket/prefix'}"


def check_path(path: str) -> None:
    """Raise `UsageError` for a path that is a mistyped URI, or begins with a ``~`` that no shell has replaced."""
    if told := _NO_URI.fullmatch(path):
        raise UsageError("this is neither a path nor a URI", where=path, remedy=f"write s3://{told['rest']}")
    if path.startswith("~") and not Path(path.partition("/")[0]).exists():
        whole = os.path.expanduser(path)  # noqa: PTH111 - pathlib raises where there is no such user
        remedy = f"write {whole}" if whole != path else "write the whole path"
        raise UsageError("the shell has left ~ as it is, and there is no such directory", where=path, remedy=remedy)


def mount_missing(path: str) -> str:
    """Return how to let a container see a directory; empty outside of one, and where the directory is there."""
    top = Path(*Path(path).parts[:2])
    if not path.startswith("/") or top.exists() or not _is_contained():
        return ""
    return f'there is no {top} in this container: mount it by `docker run -v "$PWD:{top}"`'


def write_as_yourself() -> str:
    """Return how to let a container write where its user may not; empty outside of one."""
    yourself = 'run as yourself, `docker run --user "$(id -u):$(id -g)"`'
    return f"{yourself}, or give user {os.getuid()} permission" if _is_contained() else ""


def _is_contained() -> bool:
    return any(Path(mark).exists() for mark in _MARKS)
