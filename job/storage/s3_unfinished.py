"""Uploads in parts that have not been completed: listed and charged for apart from objects, until they are aborted."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from job.storage.base import Unfinished
from job.storage.s3_errors import code_of


def unfinished(client: Any, bucket: str, root: str) -> Iterator[Unfinished]:
    """Yield the uploads below `root`; raises `ClientError`."""
    pages = client.get_paginator("list_multipart_uploads")
    for page in pages.paginate(Bucket=bucket, Prefix=root):
        for item in page.get("Uploads", ()):
            if item["Key"].startswith(root):
                key, begun_s = item["Key"].removeprefix(root), item["Initiated"].timestamp()
                yield Unfinished(key=key, begun_s=begun_s, upload=item["UploadId"])


def abandon(client: Any, bucket: str, key: str, upload: str) -> None:
    """Abort an upload, unless it has ended meanwhile; raises `ClientError`."""
    try:
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
    except ClientError as error:
        if code_of(error) != "NoSuchUpload":
            raise
