"""Whether a checkpoint is a model's: every wanted tensor by its name and of its shape, and none besides."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from job.wording import shown

Shape = tuple[int, ...]
Pattern = tuple[int | None, ...]
"""A shape of which some sizes are the checkpoint's to say."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How stored tensors fit the wanted ones; `misshapen` has each wanted pattern with the shape that is stored."""

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    misshapen: Mapping[str, tuple[Pattern, Shape]]

    @property
    def is_exact(self) -> bool:
        """Whether the two hold the same names with the same shapes."""
        return not (self.missing or self.extra or self.misshapen)

    @property
    def share(self) -> float:
        """Return how much of both together is matched, from 0 to 1."""
        total = len(self.matched) + len(self.missing) + len(self.extra) + len(self.misshapen)
        return len(self.matched) / total if total else 0.0

    def differences(self) -> str:
        """Return what does not fit in one line, the first names of each kind."""
        return "; ".join(self._differences())

    def _differences(self) -> Iterator[str]:
        if self.missing:
            yield f"{len(self.missing)} missing: {shown(self.missing)}"
        if self.extra:
            yield f"{len(self.extra)} that it has not: {shown(self.extra)}"
        if self.misshapen:
            shapes = [f"{name} {_text(shape)}, not {_text(want)}" for name, (want, shape) in self.misshapen.items()]
            yield f"{len(shapes)} of another shape: {shown(shapes)}"


def fit(wanted: Mapping[str, Pattern], stored: Mapping[str, Shape]) -> Fit:
    """Compare the tensors that a model wants with those that a checkpoint stores, by name alone."""
    common = [name for name in wanted if name in stored]
    bad = {name: (wanted[name], stored[name]) for name in common if not agrees(wanted[name], stored[name])}
    return Fit(
        matched=tuple(name for name in common if name not in bad),
        missing=tuple(name for name in wanted if name not in stored),
        extra=tuple(sorted(name for name in stored if name not in wanted)),
        misshapen=bad,
    )


def agrees(wanted: Pattern, stored: Shape) -> bool:
    """Whether a stored shape has the wanted sizes where these are known, and others than 0 where they are not."""
    return len(wanted) == len(stored) and all(
        want == size or (want is None and size > 0) for want, size in zip(wanted, stored, strict=True)
    )


def _text(shape: Pattern) -> str:
    return f"[{','.join('?' if size is None else str(size) for size in shape)}]"
