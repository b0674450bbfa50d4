"""A checkpoint's tensors under the names of a graph's variables: by the user's rules, or without a prefix."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from job.engine.user_graphs.matching import Tensors, tensors_in
from job.engine.user_graphs.prefixes import assumed, common_prefix, moved
from job.engine.user_graphs.wanted import Wanted
from job.errors import BadInput
from job.records import Finding
from job.renaming import Rule, Use, load_rules, renamed
from job.wording import shown


def named(
    wanted: Collection[Wanted], called: Collection[str], checkpoint: str, rules: str
) -> tuple[Tensors, tuple[Finding, ...]]:
    """Return a checkpoint's tensors as a graph calls them, and what was done to their names.

    `called` are the names of all its variables, `wanted` is what must be there; `rules` is a file's path, or
    empty. Raises `BadInput` where rules make one of two tensors.
    """
    if rules:
        tensors, uses = _with_rules(checkpoint, _rules_in(rules), called)
        return tensors, tuple(_findings(uses))
    _, tensors = tensors_in(checkpoint, called)
    prefix = common_prefix(wanted, tensors)
    return (moved(tensors, prefix), (assumed(prefix),)) if prefix else (tensors, ())


def _rules_in(path: str) -> tuple[Rule, ...]:
    return load_rules(Path(path).read_text(encoding="utf-8", errors="replace"), Path(path).name)


def _with_rules(checkpoint: str, rules: Sequence[Rule], called: Collection[str]) -> tuple[Tensors, tuple[Use, ...]]:
    """Return the tensors as the rules rename them, and what each rule did.

    Slots, averages and counters are tensors like others to a rule that gives them a variable's name; else they are left
    alone. Raises `BadInput` where two tensors become one.
    """
    every, weights = tensors_in(checkpoint, called)
    meant = [own for own, name in renamed(rules, every.keys).names.items() if name in called]
    new = renamed(rules, sorted({*weights.keys, *meant}))
    twice = [name for name, count in Counter(new.names.values()).items() if count > 1]
    if twice:
        raise BadInput(
            f"the rules give {len(twice)} names to more than one tensor: {shown(twice)}",
            where=", ".join(own for own, name in new.names.items() if name == twice[0]),
            remedy="begin patterns with ^ and end them with $, and leave tensors out by replace: null",
        )
    return every.named(new.names), new.uses


def _findings(uses: Sequence[Use]) -> Iterator[Finding]:
    """Say what every rule matched, and which matched nothing."""
    for use in uses:
        pattern, names = use.rule.pattern.pattern, list(use.matched.items())
        if not names:
            cause = f"the rule {pattern!r} matched none of the checkpoint's names"
            remedy = "correct or remove it: rules are tried in the order of the file"
            yield Finding(code="rule_unused", cause=cause, remedy=remedy, severity="warning")
            continue
        if use.rule.replace is None:
            what = f"left out {len(names)} tensors: {shown([own for own, _ in names])}"
        else:
            what = f"renamed {len(names)} tensors: {shown([f'{own} to {name}' for own, name in names])}"
        yield Finding(code="rule_applied", cause=f"the rule {pattern!r} {what}")
