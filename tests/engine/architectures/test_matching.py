from job.engine.architectures.matching import agrees, fit


def test_what_is_wanted_and_what_is_stored_are_compared_by_name_and_shape() -> None:
    """Missing, extra and misshapen tensors are told apart; only a pattern's open sizes may be anything."""
    wanted = {"a": (3, 3, 4, None), "b": (4,), "c": (4,), "d": (2, 2)}
    found = fit(wanted, {"a": (3, 3, 4, 7), "b": (5,), "d": (2, 2, 1), "e": (1,)})
    assert found.matched == ("a",)
    assert found.missing == ("c",)
    assert found.extra == ("e",)
    assert found.misshapen == {"b": ((4,), (5,)), "d": ((2, 2), (2, 2, 1))}
    assert not found.is_exact


def test_an_exact_fit_leaves_nothing_over() -> None:
    """Only the same names with agreeing shapes, and none besides, are exact."""
    assert fit({"a": (None,)}, {"a": (3,)}).is_exact
    assert not fit({"a": (None,)}, {"a": (3,), "b": (1,)}).is_exact
    assert not fit({"a": (None,), "b": (1,)}, {"a": (3,)}).is_exact
    assert not fit({"a": (4,)}, {"a": (3,)}).is_exact


def test_differences_say_names_and_shapes_in_one_line() -> None:
    """The line counts each kind, shows its first names and both shapes of what is misshapen."""
    found = fit({"a": (None, 4), "b": (1,)}, {"a": (3, 5), "c": (1,)})
    assert found.differences() == "1 missing: b; 1 that it has not: c; 1 of another shape: a [3,5], not [?,4]"


def test_a_shape_of_another_rank_never_agrees() -> None:
    """An open size stands for one dimension, not for several."""
    assert agrees((None, 3), (7, 3))
    assert not agrees((None, 3), (7, 3, 1))
    assert not agrees((), (1,))


def test_an_open_size_is_not_nought() -> None:
    """A layer without channels is no layer; a size that is known to be 0 agrees with itself."""
    assert not agrees((None, 3), (0, 3))
    assert agrees((0, 3), (0, 3))


def test_the_share_counts_what_both_have_not_in_common() -> None:
    """Nearness falls with what is missing as with what is left over, so that a small part of a model is not near."""
    assert fit({"a": (1,)}, {"a": (1,)}).share == 1.0
    assert fit({"a": (1,), "b": (1,)}, {"a": (1,), "c": (1,)}).share == 1 / 3
    assert fit({}, {}).share == 0.0
