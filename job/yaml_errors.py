"""What the YAML parser raises, translated once for every file that a user writes."""

from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from job.errors import UsageError


@contextmanager
def told(what: str, where: str, remedy: str) -> Iterator[None]:
    """Raise `UsageError` with the line for what is no YAML; `what` is the file's, as ``the manifest is``."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{what} no YAML: {error.problem}", where=f"{where}:{line}", remedy=remedy) from error
    except (yaml.YAMLError, ValueError) as error:  # a character that no YAML may hold, a 13th month
        raise UsageError(f"{what} no YAML: {error}", where=where, remedy=remedy) from error
