import os
import platform
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from job.sandbox import OFF, Sandbox
from job.tasks import Crashed
from job.workers import Forkserver, Limits
from tests.jobs import environment
from tests.sandbox.attacks import ATTACKS, Attack, Outcome
from tests.sandbox.machine import FULL, needs_newest

Forkservers = Callable[[Sandbox], Forkserver]

OLD = Sandbox(landlock=2, seccomp=True)
"""What Linux 6.1 has, which clouds still run."""

DENIED = {"EPERM", "EACCES", "EXDEV"}

NUMBERED = {
    *("trace", "read_memory", "watch", "io_uring", "user_namespace", "mount", "bpf", "keys", "page_faults", "stay"),
    *("counters", "load_kernel", "load_module", "shared_memory", "chmod_by_number", "attribute_by_number"),
    "secret_memory",
}
"""Attacks by system call numbers of x86-64."""

NOT_SHOWN = {
    "execute": "it would end the worker",
    "chmod_by_number": "kernels have it since 6.6",
    "secret_memory": "a kernel need not have it",
    "vsock": "a kernel need not have it",
    "io_uring": "many kernels have it switched off",
    "user_namespace": "many kernels deny it",
    "mark": "a file system need not have attributes",
    "signal_all": "it asks of all processes of the machine",
    "read_memory": "the address need not be one",
    **dict.fromkeys(
        ("mount", "bpf", "keys", "page_faults", "counters", "load_kernel", "load_module", "attribute_by_number"),
        "its arguments are none, so that it never succeeds",
    ),
}
"""What is not tried without a sandbox, and why."""

LANDLOCK_ALONE = {
    *("read", "list", "read_passwords", "read_own_environment", "read_environment", "read_command_line", "write"),
    *("overwrite", "append", "truncate", "truncate_reading", "remove", "remove_directory", "make_directory", "rename"),
    *("move_in", "move_out", "link_in", "symlink", "make_pipe", "make_socket", "tcp", "abstract_socket", "signal"),
    *("execute", "trace", "read_memory"),
}
SECCOMP_ALONE = {
    *("truncate", "truncate_reading", "truncate_neither", "link_in", "link", "symlink", "make_pipe", "make_socket"),
    *("chmod", "chown", "touch", "mark", "tcp", "tcp6", "udp", "netlink", "vsock", "abstract_socket", "named_socket"),
    *("fork", "start", "execute", "memory_file", "signal", "signal_all", "limit", "slow_down", "stay"),
    *("signal_by_pipe", "choose_signal"),
    *NUMBERED,
}
"""What each of the two denies without the other's help."""

pytestmark = needs_newest


@pytest.fixture
def attack(tmp_path: Path) -> Iterator[Attack]:
    """Return an attack on what is outside: files, this process, and three sockets that listen."""
    outside = tmp_path / "outside"
    (outside / "empty").mkdir(parents=True)
    (outside / "victim").write_text("worth keeping", encoding="ascii")
    name = f"tf1lift-test-{os.getpid()}"
    with ExitStack() as opened:
        tcp, named, abstract = (
            opened.enter_context(socket.socket(family)) for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_UNIX)
        )
        for listener, address in (
            (tcp, ("127.0.0.1", 0)),
            (named, str(outside / "listening")),
            (abstract, f"\0{name}"),
        ):
            listener.bind(address)
            listener.listen()
        yield Attack(what="", outside=str(outside), pid=os.getpid(), port=tcp.getsockname()[1], name=name)


@pytest.fixture(scope="module")
def forkservers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forkservers]:
    """Start one for each sandbox that is asked for."""
    with ExitStack() as started:

        @cache
        def start(sandbox: Sandbox) -> Forkserver:
            scratch, limits = tmp_path_factory.mktemp("scratch"), Limits(sandbox=sandbox)
            return started.enter_context(
                Forkserver("exact", scratch, environment(), "tests.sandbox.attacks", limits=limits)
            )

        yield start


def tried(what: str, attack: Attack, forkserver: Forkserver) -> str:
    """Have a worker in a sandbox try an attack; return the error that it met, empty for none."""
    if what in NUMBERED and platform.machine() != "x86_64":
        pytest.skip("the system call's number is that of x86-64")
    outcome, _ = forkserver.run("attack", replace(attack, what=what), Outcome, timeout_s=30)
    return outcome.error


@pytest.mark.parametrize("sandbox", [FULL, OLD], ids=["linux-6.15", "linux-6.1"])
@pytest.mark.parametrize("what", ATTACKS)
def test_attack_is_denied(what: str, attack: Attack, forkservers: Forkservers, sandbox: Sandbox) -> None:
    """Each ends with an error that Python and TensorFlow can report, and what is outside stays as it was."""
    before = {path.name: path.stat()[:10] for path in Path(attack.outside).iterdir()}
    assert tried(what, attack, forkservers(sandbox)) in DENIED
    assert {path.name: path.stat()[:10] for path in Path(attack.outside).iterdir()} == before
    assert attack.victim.read_text(encoding="ascii") == "worth keeping"


@pytest.mark.parametrize("what", sorted(ATTACKS.keys() - NOT_SHOWN))
def test_attack_succeeds_without_a_sandbox(what: str, attack: Attack, forkservers: Forkservers) -> None:
    """So that it is the sandbox that denies it, and nothing else."""
    assert tried(what, attack, forkservers(OFF)) == ""


@pytest.mark.parametrize("what", sorted(LANDLOCK_ALONE))
def test_landlock_denies_it_alone(what: str, attack: Attack, forkservers: Forkservers) -> None:
    """A filter of system calls that misses one does not open files, ports and processes."""
    assert tried(what, attack, forkservers(replace(FULL, seccomp=False))) in DENIED


@pytest.mark.parametrize("what", sorted(SECCOMP_ALONE))
def test_seccomp_denies_it_alone(what: str, attack: Attack, forkservers: Forkservers) -> None:
    """The filter closes what Landlock does not guard, and what the Landlock of older kernels does not."""
    assert tried(what, attack, forkservers(replace(FULL, landlock=0))) in DENIED


@pytest.mark.parametrize("sandbox", [FULL, OLD, OFF], ids=str)
def test_honest_work_is_let_through(attack: Attack, forkservers: Forkservers, sandbox: Sandbox) -> None:
    """A worker writes and renames in its scratch, starts threads, reads libraries and asks for its processors."""
    outcome, _ = forkservers(sandbox).run("work", attack, Outcome, timeout_s=30)
    assert outcome == Outcome()


def test_executing_needs_a_sandbox_to_be_denied(attack: Attack, forkservers: Forkservers) -> None:
    """Without one, the worker becomes another program, and leaves no result."""
    with pytest.raises(Crashed, match="without a result"):
        tried("execute", attack, forkservers(OFF))
