from job.publishing import plan_of
from job.records import Digest

SOURCES = (Digest(key="a", size_bytes=1, sha256="aa"), Digest(key="b", size_bytes=2, sha256="bb"))


def test_a_plan_is_the_same_whatever_the_order() -> None:
    """A second run over the same input has the same plan."""
    one = plan_of(SOURCES, {"tensorflow": "2.21.0", "tf1lift": "0.1.0"}, {"seed": 0, "tags": ("serve",)})
    other = plan_of(SOURCES[::-1], {"tf1lift": "0.1.0", "tensorflow": "2.21.0"}, {"tags": ["serve"], "seed": 0})
    assert one == other
    assert len(one) == 64
    assert set(one) <= set("0123456789abcdef")


def test_a_plan_changes_with_all_that_decides_a_result() -> None:
    """Other bytes, names, versions or options are another result."""
    renamed = (Digest(key="c", size_bytes=1, sha256="aa"), SOURCES[1])
    edited = (Digest(key="a", size_bytes=1, sha256="ac"), SOURCES[1])
    plans = {
        plan_of(SOURCES, {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(renamed, {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(edited, {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(SOURCES[:1], {"tensorflow": "2.21.0"}, {"seed": 0}),
        plan_of(SOURCES, {"tensorflow": "2.21.1"}, {"seed": 0}),
        plan_of(SOURCES, {"tensorflow": "2.21.0"}, {"seed": 1}),
    }
    assert len(plans) == 6
