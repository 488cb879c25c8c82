"""The working folder of a gate: one gate at a time, and nothing of it afterwards."""

import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from kubegate.errors import KubegateError
from kubegate.runtime.generation import Generation, Occupied, Store
from kubegate.system.processes import ProcessId


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A folder that does not exist yet."""
    return Store(tmp_path_factory.mktemp("k") / "gate")


def files(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir()} if store.folder.exists() else set()


def test_one_at_a_time(store: Store) -> None:
    assert store.owner() is None
    store.acquire()
    other = Store(store.folder)
    assert other.owner() == f"pid {os.getpid()}"
    with pytest.raises(Occupied, match=f"pid {os.getpid()}"):
        other.acquire()
    store.release()
    assert other.owner() is None
    other.acquire()
    other.release()
    assert not store.folder.exists()


def test_looking_makes_nothing(store: Store) -> None:
    assert store.leftover() is None
    assert store.owner() is None
    assert store.why_too_long() is None
    store.release()
    assert not store.folder.exists()


def test_everything_goes_at_the_end(store: Store) -> None:
    store.acquire()
    generation = store.folder / "generation-1"
    generation.mkdir()
    (generation / "gate.pem").write_text("a key")
    store.switch(Generation(generation, "digest"))
    assert store.current.resolve() == generation
    ProcessId.of(os.getpid()).save(store.process_file)
    store.release()
    store.release()
    assert not store.folder.exists()


def test_a_folder_that_goes_while_it_is_taken(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when one gate ends in the moment in which the next one begins: a lock on what was removed is none."""
    flock, times = fcntl.flock, list[int]()

    def late(lock: int, operation: int) -> None:
        flock(lock, operation)
        if not times:
            (store.folder / "lock").unlink()
            store.folder.rmdir()
        times.append(lock)

    monkeypatch.setattr(fcntl, "flock", late)
    store.acquire()
    assert len(times) == 2
    assert files(store) == {"lock"}
    store.release()


def left_running(store: Store, process: ProcessId) -> None:
    """What a killed kubegate leaves."""
    store.folder.mkdir(mode=0o700)
    (store.folder / "generation-1").mkdir()
    (store.folder / "lock").touch()
    process.save(store.process_file)


def test_what_was_left_running_is_remembered_until_it_is_taken_over(store: Store) -> None:
    own = ProcessId.of(os.getpid())
    left_running(store, own)
    assert store.leftover() == own
    store.acquire()
    store.clear()
    ProcessId(1, 2, "of the next one").save(store.process_file)
    store.release()
    assert files(store) == {"lock", "haproxy.json"}
    assert Store(store.folder).leftover() == own
    store.acquire()
    assert store.take_over() == own
    assert store.take_over() is None
    store.release()
    assert not store.folder.exists()


def test_what_was_left_and_has_ended_is_nothing(store: Store) -> None:
    own = ProcessId.of(os.getpid())
    left_running(store, replace(own, began=own.began + 1))
    assert store.leftover() is None
    store.acquire()
    assert store.take_over() is None
    store.release()
    assert not store.folder.exists()


def test_a_gate_that_runs_is_no_leftover(store: Store) -> None:
    store.acquire()
    ProcessId.of(os.getpid()).save(store.process_file)
    assert Store(store.folder).leftover() is None
    store.release()


def test_too_long_a_path_for_sockets(tmp_path: Path) -> None:
    store = Store(tmp_path / ("long" * 30))
    assert "bytes" in str(store.why_too_long())
    with pytest.raises(KubegateError, match="cannot be used"):
        store.acquire()
    assert not store.folder.exists()
