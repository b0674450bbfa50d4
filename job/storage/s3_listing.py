"""What a bucket lists, page after page, as far as the answers go."""

from collections.abc import Iterator
from typing import Any

from job.errors import StorageError
from job.records import StoredObject
from job.storage.s3_client import Connection


def listed(connection: Connection, bucket: str, root: str, prefix: str) -> Iterator[StoredObject]:
    """Yield the objects whose keys begin with `root` and `prefix`, sorted; raises `ClientError`.

    Keys come without `root`; boto3 asks for them percent-encoded, so that they may hold what XML cannot.
    The empty objects that stand for directories are left out.
    """
    for page in _pages(connection, {"Bucket": bucket, "Prefix": root + prefix}):
        for item in page.get("Contents", ()):
            key, size_bytes = item["Key"].removeprefix(root), item["Size"]
            if key and (size_bytes or not key.endswith("/")):
                yield StoredObject(
                    key=key,
                    size_bytes=size_bytes,
                    etag=item.get("ETag", ""),
                    modified_s=item["LastModified"].timestamp() if "LastModified" in item else 0.0,
                )


def children(connection: Connection, bucket: str, root: str) -> tuple[str, ...]:
    """Return the names directly below `root`, as many as one answer holds; raises `ClientError`."""
    page = next(_pages(connection, {"Bucket": bucket, "Prefix": root, "Delimiter": "/"}))
    directories = [one["Prefix"] for one in page.get("CommonPrefixes", ())]
    keys = (*directories, *(one["Key"] for one in page.get("Contents", ())))
    return tuple(name for key in keys if (name := key.removeprefix(root).rstrip("/")))


def _pages(connection: Connection, asked: dict[str, str]) -> Iterator[Any]:
    """Yield the answers; each is asked for by itself, so that credentials may expire between two."""
    following = ""
    while True:
        more = {"ContinuationToken": following} if following else {}
        page = connection.run(lambda client, more=more: client.list_objects_v2(**asked, **more))  # type: ignore[misc]
        if "html" in page["ResponseMetadata"]["HTTPHeaders"].get("content-type", ""):
            remedy = "check AWS_ENDPOINT_URL_S3, and proxies on the way"
            raise StorageError("the answer is a web page", where=connection.where(""), remedy=remedy)
        yield page
        before, following = following, page.get("NextContinuationToken", "")
        if not page.get("IsTruncated") or not following:
            return
        if following == before:
            raise StorageError("the store lists the same keys again and again", where=connection.where(""))
