"""Shared libraries by the names under which the loader has them."""

import ctypes.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

SONAMES: Final[Mapping[str, str]] = {"c": "libc.so.6", "seccomp": "libseccomp.so.2"}


@contextmanager
def by_soname() -> Iterator[None]:
    """Let whoever asks `ctypes` for one of these libraries have its soname at once.

    Else Python asks ldconfig and then a compiler, each a program that may be absent, or killed before it has answered.
    It is for a process of one thread: all that look for libraries meanwhile get these answers.
    """
    asked = ctypes.util.find_library
    ctypes.util.find_library = lambda name: SONAMES.get(name) or asked(name)
    try:
        yield
    finally:
        ctypes.util.find_library = asked
