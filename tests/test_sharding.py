from job.records import Artifact, Format
from job.sharding import share_of

SHARES = [["5"], ["3"], ["0", "1", "2", "4"]]  # by sha256sum of case0/frozen.pb … case5/frozen.pb


def _artifacts(names: range) -> list[Artifact]:
    return [Artifact(name=f"case{n}/frozen.pb", format=Format.GRAPH_DEF, entry="", objects=()) for n in names]


def test_every_artifact_is_in_exactly_one_share() -> None:
    """The shares of any count together are all artifacts, none twice."""
    artifacts = _artifacts(range(200))
    for count in (1, 2, 3, 7, 16, 300):
        shares = [share_of(artifacts, index=index, count=count) for index in range(count)]
        names = sorted(artifact.name for share in shares for artifact in share)
        assert names == sorted(artifact.name for artifact in artifacts)


def test_share_stays_when_artifacts_come() -> None:
    """What a share held it still holds, in the same order, after others were added before and behind."""
    for index in range(5):
        before = share_of(_artifacts(range(50, 100)), index=index, count=5)
        after = share_of(_artifacts(range(200)), index=index, count=5)
        assert [artifact for artifact in after if artifact in before] == list(before)


def test_share_behind_the_last_is_empty() -> None:
    """A pod too many finds nothing to do; that is no error."""
    assert share_of(_artifacts(range(20)), index=7, count=5) == ()


def test_shares_are_of_about_the_same_size() -> None:
    """No share of 8 gets more than twice its part of 800 artifacts."""
    sizes = [len(share_of(_artifacts(range(800)), index=index, count=8)) for index in range(8)]
    assert max(sizes) <= 200


def test_share_is_the_same_on_every_machine() -> None:
    """The share is the name's SHA-256 modulo the count: Python's own hash would differ between processes."""
    shares = [
        [artifact.name[4] for artifact in share_of(_artifacts(range(6)), index=index, count=3)] for index in range(3)
    ]
    assert shares == SHARES
