from job.content import Content, Kind, sniff
from job.errors import BadInput, Refused
from job.survey import take_survey
from tests.sources import GRAPH_DEF, LFS_POINTER, MemoryStorage, checkpoint, saved_model


def test_only_what_may_be_a_model_is_read() -> None:
    """Media, data, code, big data shards, a SavedModel's own files and empty files cost no request."""
    files = {
        **saved_model("sm/"),
        **checkpoint("model.ckpt"),
        **dict.fromkeys(["cat.JPG", "train.tfrecord", "vocab.txt", "events.out.tfevents.1", "checkpoint"], b"x"),
        "sm/tfhub_module.pb": b"\x08\x03",
        "empty.pb": b"",
        "frozen": GRAPH_DEF,
        "dir/": b"",
    }
    storage = MemoryStorage(files)
    take_survey(storage)
    assert sorted(storage.reads) == [
        "frozen",
        "model.ckpt.index",
        "model.ckpt.meta",
        "sm/saved_model.pb",
        "sm/variables/variables.index",
    ]


def test_small_data_file_is_looked_into() -> None:
    """A Git LFS pointer in place of the weights is seen before anything is pulled."""
    survey = take_survey(MemoryStorage({"m.data-00000-of-00001": LFS_POINTER}))
    assert survey.looks == {"m.data-00000-of-00001": Content(kind=Kind.GIT_LFS_POINTER)}


def test_file_that_cannot_be_read_is_no_end() -> None:
    """A file's own error is kept beside what the other files are."""
    gone, link = BadInput("gone"), Refused("a link leads out")
    survey = take_survey(MemoryStorage({"a.pb": gone, "b.pb": link, "c.pb": GRAPH_DEF}))
    assert survey.looks == {"a.pb": gone, "b.pb": link, "c.pb": sniff(GRAPH_DEF, len(GRAPH_DEF))}


def test_saved_models_own_what_is_in_their_directories() -> None:
    """The outermost SavedModel owns its assets, even where one looks like a SavedModel; other files stay beside it."""
    files = {**saved_model("a/"), **saved_model("a/assets/b/"), "a/c/frozen.pb": GRAPH_DEF}
    survey = take_survey(MemoryStorage(files))
    assert sorted(survey.directories) == ["a/", "a/c/"]
    assert "assets/b/saved_model.pb" in survey.owned["a/"]


def test_keys_that_differ_by_a_slash_stay_apart() -> None:
    """In an object store ``x``, ``/x`` and ``a//x`` are three objects."""
    survey = take_survey(MemoryStorage(dict.fromkeys(["x", "/x", "a//x"], GRAPH_DEF)))
    assert {key: list(files) for key, files in survey.directories.items()} == {"": ["x"], "/": ["x"], "a//": ["x"]}
