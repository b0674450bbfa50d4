"""Stores that artifacts come from and results go to, picked by URI.

A new store is one module with a class that keeps the `Storage` contract, and one line in `STORES`.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from job.errors import JobError, NoInput, UsageError
from job.nearest import nearest, question
from job.storage.base import Storage
from job.storage.elsewhere import SUPPORTED, check_path, mount_missing, unknown
from job.storage.keys import EVERYTHING, Selection, belonging_to
from job.storage.local import LocalStorage


def open_storage(uri: str) -> Storage:
    """Return the store at `uri`: a path, ``file:///path`` or ``s3://bucket/prefix``.

    Nothing is touched, and it need not exist: a destination may not yet. Raises `UsageError` for
    what is no such URI.
    """
    return _open(uri, EVERYTHING)


def open_source(uri: str) -> Storage:
    """Return the store that `uri` names as a source: all below it, or a single artifact.

    Where `uri` names one object, the root is its parent and listing yields what belongs to it:
    of ``dir/model.ckpt-5`` or ``dir/model.ckpt-5.meta`` the parts of that checkpoint, of
    ``dir/saved_model.pb`` its variables and assets, of ``dir/weights.h5`` the JSON files beside
    it, of ``dir/frozen.pb`` nothing else. All below the parent can be read by key, for assets that
    a manifest names. Raises `NoInput` where there is nothing, and what listing raises.
    """
    whole = open_storage(uri)
    if _lists_something(whole):
        return whole
    parent, slash, name = uri.rpartition("/")
    if name and not parent.endswith(":/"):
        single = _open(parent or slash or ".", belonging_to(name))
        if _lists_something(single):
            return single
    remedy = _question(uri) or mount_missing(uri) or "name a prefix or an artifact that exists"
    raise NoInput("there is nothing at the source", where=uri, remedy=remedy)


def _question(uri: str) -> str:
    """Ask whether what lies beside the place was meant; empty where nothing is like it, or the store does not say."""
    parent, slash, name = uri.rstrip("/").rpartition("/")
    if not name or parent.endswith(":/"):
        return ""
    try:
        beside = open_storage(parent or slash or ".").children()
        close = nearest(name, () if name in beside else beside)
    except JobError:
        return ""
    return question(f"{parent}{slash}{close[0]}") if close else ""


def _open(uri: str, selection: Selection) -> Storage:
    scheme = uri.partition("://")[0] if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", uri) else ""
    if not uri:
        raise UsageError("a URI is empty", remedy=SUPPORTED)
    if scheme not in STORES:
        raise unknown(scheme, uri)
    return STORES[scheme](uri, selection)


def _open_path(uri: str, selection: Selection) -> Storage:
    check_path(uri)
    return LocalStorage(Path(uri), selection)


def _open_file(uri: str, selection: Selection) -> Storage:
    host, _, path = uri.removeprefix("file://").partition("/")  # a path may have # and ?, which urlsplit cuts off
    if host not in ("", "localhost"):
        raise UsageError("a file URI names no host", where=uri, remedy="write file:///path")
    return LocalStorage(Path("/", unquote(path)), selection)


def _open_s3(uri: str, selection: Selection) -> Storage:
    from job.storage.s3 import S3Storage  # noqa: PLC0415 - boto3 would slow every start down

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise UsageError("no bucket is named", where=uri, remedy="write s3://bucket/prefix")
    return S3Storage(bucket, prefix, selection)


STORES: Final[Mapping[str, Callable[[str, Selection], Storage]]] = {
    "": _open_path,
    "file": _open_file,
    "s3": _open_s3,
}


def _lists_something(store: Storage) -> bool:
    return any(True for _ in store.list())
