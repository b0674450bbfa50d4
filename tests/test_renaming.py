import pytest

from job.errors import UsageError
from job.renaming import load_rules, renamed


def test_rules_are_tried_in_order_on_what_is_there() -> None:
    """Each takes what the one before has made; what a rule leaves out the next does not see."""
    rules = load_rules(
        r"[{pattern: ^a/, replace: ''}, {pattern: (.)x$, replace: '\1y'}, {pattern: q, replace: null}]", "r"
    )
    new = renamed(rules, ["a/bx", "c", "a/q", "bz"])
    assert new.names == {"a/bx": "by", "c": "c", "bz": "bz"}
    assert [use.matched for use in new.uses] == [{"a/bx": "bx", "a/q": "q"}, {"bx": "by"}, {"q": None}]


def test_a_rule_that_matches_nothing_says_so() -> None:
    """It is there among the others, empty."""
    (use,) = renamed(load_rules("- {pattern: nothing, replace: x}", "r"), ["a"]).uses
    assert use.matched == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the rules are no list; r.yaml"),
        ("pattern: a", "the rules are no list"),
        ("[a", "the rules are no YAML"),
        (
            "- {pattern: a, replace: b}\n- {pattern: a}",
            "a rule has a pattern and what replaces it, once each, and nothing else; r.yaml:2",
        ),
        ("- {pattern: a, replace: b, more: c}", "and nothing else; r.yaml:1"),
        ("- {pattern: a, replace: b, pattern: c}", "and nothing else; r.yaml:1"),
        ("- just text", "and nothing else"),
        ("- {pattern: 1, replace: b}", "pattern and replace are texts; r.yaml:1; put them in quotes"),
        ("- {pattern: a, replace: [b]}", "pattern and replace are texts"),
        ("- {pattern: '(a', replace: b}", "'(a' with 'b': missing ), unterminated subpattern"),
        (r"- {pattern: 'a', replace: '\1'}", "invalid group reference 1"),
        (r"- {pattern: 'a', replace: '\g<x>'}", "unknown group name 'x'"),
        ("- {pattern: 'a\x01', replace: b}", "the rules are no YAML"),
        ("- {pattern: 2001-13-45, replace: b}", "the rules are no YAML: month must be in 1..12"),
        (r"- {pattern: '(?x) a  # b', replace: '\1'}", "invalid group reference 1"),
        ("- !!python/object/apply:os.system [ls]", "the rules are no YAML"),
    ],
)
def test_wrong_rules_are_told_with_their_line(text: str, said: str) -> None:
    """All of them before any work, whether a name matches or not."""
    with pytest.raises(UsageError) as caught:
        load_rules(text, "r.yaml")
    assert said in str(caught.value)
