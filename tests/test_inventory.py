"""What is found at a destination, and what must not be taken for it."""

from job import codec
from job.commits import Damaged
from job.inventory import take_inventory
from job.records import Commit
from job.storage import open_storage
from job.storage.base import Storage
from tests.publications import FILES, HOME, NAME, ONE, OTHER_PLAN, PLAN, TWO, fail_one, leave_attempt, publish_one

pytest_plugins = ["tests.storage.stores"]


def test_everything_is_found_by_what_it_is(store: Storage) -> None:
    """A commit, its attempt, one that died, a failure's report and a pointer; runs and strangers' files are none."""
    commit = publish_one(store)
    died, failed = leave_attempt(store), fail_one(store)
    store.replace("_runs/20261122T000000Z-abcdef/shard-0.json", b"{}")
    store.replace("notes.txt", b"mine")
    inventory = take_inventory(store)
    assert inventory.commits == {HOME: commit}
    assert set(inventory.attempts) == {f"{HOME}/{ONE}", died, failed}
    assert len(inventory.attempts[died]) == len(FILES)
    assert {name: stored.key for name, stored in inventory.pointers.items()} == {NAME: f"{NAME}/latest.json"}
    assert [inventory.may_list(place) for place in (f"{HOME}/{ONE}", died, failed)] == [True, False, False]


def test_a_glob_takes_the_artifacts_that_it_fits(store: Storage) -> None:
    """Nothing of the others is read."""
    publish_one(store)
    publish_one(store, "texts/bert", OTHER_PLAN, TWO)
    inventory = take_inventory(store, "texts/*")
    assert set(inventory.commits) == {f"texts/bert/{OTHER_PLAN[:12]}"}
    assert set(inventory.attempts) == {f"texts/bert/{OTHER_PLAN[:12]}/{TWO}"}
    assert set(inventory.pointers) == {"texts/bert"}


def test_a_model_cannot_pass_off_its_assets_as_a_publication(store: Storage) -> None:
    """An asset named like a commit, written before its attempt had a name, is an asset."""
    home = f"{HOME}/{ONE}/saved_model/assets/{OTHER_PLAN[:12]}"
    fake = Commit(artifact="x", plan=OTHER_PLAN, attempt=TWO, files=(), verdict="passed", versions={})
    publish_one(store)
    for text in (codec.document(fake), b"{"):
        store.replace(f"{home}/commit.json", text)
        assert set(take_inventory(store).commits) == {HOME}


def test_an_artifact_below_another_s_model_is_one(store: Storage) -> None:
    """A name may look like a plan and an attempt: what names its own place is committed there."""
    name = f"{HOME}/{ONE}/saved_model"
    publish_one(store)
    inner = publish_one(store, name, OTHER_PLAN, TWO)
    inventory = take_inventory(store)
    assert inventory.commits[f"{name}/{OTHER_PLAN[:12]}"] == inner
    assert inventory.may_list(f"{name}/{OTHER_PLAN[:12]}/{TWO}")
    assert len(inventory.attempts[f"{name}/{OTHER_PLAN[:12]}/{TWO}"]) == len(FILES)


def test_a_commit_that_cannot_be_read_may_list_anything(store: Storage) -> None:
    """Nothing is taken for garbage beside a damaged commit, or one that a newer version wrote."""
    publish_one(store)
    died = leave_attempt(store)
    store.replace(f"{HOME}/commit.json", b'{"artifact": "x"')
    inventory = take_inventory(store)
    assert isinstance(inventory.commits[HOME], Damaged)
    assert inventory.may_list(died)


def test_a_part_of_a_destination_can_be_looked_through(uri: str) -> None:
    """A user may name the directory of one artifact, or of a few."""
    publish_one(open_storage(uri))
    for below, home in (("nets", f"resnet50/{PLAN[:12]}"), (NAME, PLAN[:12])):
        inventory = take_inventory(open_storage(f"{uri}/{below}"))
        assert set(inventory.commits) == {home}
        assert set(inventory.attempts) == {f"{home}/{ONE}"}
