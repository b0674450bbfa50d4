r"""How a checkpoint's names become a model's: the user's rules, regular expressions in a YAML file.

    - {pattern: ^module/, replace: ""}
    - {pattern: ^fc1000/(.*), replace: predictions/\1}
    - {pattern: ^discriminator/, replace: null}   # leave these out

Every rule is tried on every name, in the order of the file, and takes what the one before has made.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml

from job.errors import UsageError
from job.yaml_errors import told

_KEYS: Final = {"pattern", "replace"}
_WRITE: Final = "write, for instance: [{pattern: ^module/, replace: ''}]"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What is looked for anywhere in a name, and what takes its place; `None` leaves the tensor out."""

    pattern: re.Pattern[str]
    replace: str | None


@dataclass(frozen=True, kw_only=True)
class Use:
    """What became of the names that a rule matched, by what they were before it; `None` for those left out."""

    rule: Rule
    matched: dict[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Renamed:
    """The new name of every tensor that is not left out, by its own; and what each rule did."""

    names: dict[str, str]
    uses: tuple[Use, ...]


def load_rules(text: str, where: str) -> tuple[Rule, ...]:
    """Return the rules in `text`; `where` says in messages which file that is.

    Raises `UsageError` with the line of what is no YAML, no rule or no regular expression.
    """
    with told("the rules are", where, _WRITE):
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if not isinstance(root, yaml.SequenceNode):
            raise UsageError("the rules are no list", where=where, remedy=_WRITE)
        return tuple(_rule(loader, node, f"{where}:{node.start_mark.line + 1}") for node in root.value)


def _rule(loader: yaml.SafeLoader, node: yaml.Node, where: str) -> Rule:
    said: Any = loader.construct_document(node)
    if not isinstance(said, dict) or said.keys() != _KEYS or len(node.value) != len(_KEYS):
        raise UsageError(
            "a rule has a pattern and what replaces it, once each, and nothing else", where=where, remedy=_WRITE
        )
    pattern, replace = said["pattern"], said["replace"]
    if not isinstance(pattern, str) or not isinstance(replace, str | None):
        raise UsageError("pattern and replace are texts", where=where, remedy="put them in quotes")
    try:
        compiled = re.compile(pattern)
        re.compile(f"{pattern}\n|").sub(replace or "", "")  # a replacement is only read where something matches
    except (re.error, IndexError) as error:
        raise UsageError(
            f"{pattern!r} with {replace!r}: {error}", where=where, remedy="write them as Python's re.sub takes them"
        ) from error
    return Rule(pattern=compiled, replace=replace)


def renamed(rules: Sequence[Rule], names: Iterable[str]) -> Renamed:
    """Apply every rule to every name."""
    current, uses = {name: name for name in names}, list[Use]()
    for rule in rules:
        matched = {own: name for own, name in current.items() if rule.pattern.search(name)}
        into = {own: None if rule.replace is None else rule.pattern.sub(rule.replace, matched[own]) for own in matched}
        uses.append(Use(rule=rule, matched={matched[own]: into[own] for own in matched}))
        current |= {own: name for own, name in into.items() if name is not None}
        current = {own: name for own, name in current.items() if into.get(own, "") is not None}
    return Renamed(names=current, uses=tuple(uses))
