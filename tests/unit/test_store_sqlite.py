"""Connections, migrations and transactions that both stores stand on."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from alert_bridge.errors import SettingsError, StoreBusy
from alert_bridge.store import sqlite
from alert_bridge.store.control import ControlStore, open_reader
from alert_bridge.store.sqlite import connect, migrate, read_only, transaction


@pytest.fixture
def store(tmp_path):
    connection = connect(tmp_path / "state" / "control.db")
    migrate(connection, "control")
    yield connection
    connection.close()


def test_a_store_is_durable_and_for_its_owner_only(tmp_path, store):
    pragmas = [store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "page_size")]
    store.execute("INSERT INTO meta VALUES ('a', 'b')")

    assert pragmas == ["wal", 2, 8_192]
    for name in ("control.db", "control.db-wal", "control.db-shm"):
        assert stat.S_IMODE((tmp_path / "state" / name).stat().st_mode) == 0o600


def test_migrating_twice_is_migrating_once(store):
    assert migrate(store, "control") == migrate(store, "control") > 0


def test_a_store_of_a_newer_release_is_refused(store):
    store.execute("PRAGMA user_version = 999")

    with pytest.raises(SettingsError, match="newer release"):
        migrate(store, "control")


def test_a_migration_that_fails_changes_nothing(store, monkeypatch):
    known = sqlite._migrations("control")
    monkeypatch.setattr(sqlite, "_migrations", lambda _store: [*known, "CREATE TABLE one (x); CREATE TABLE meta (x);"])

    with pytest.raises(StoreBusy):
        migrate(store, "control")

    assert store.execute("PRAGMA user_version").fetchone()[0] == len(known)
    assert store.execute("SELECT count(*) FROM sqlite_master WHERE name = 'one'").fetchone()[0] == 0


def test_a_store_that_was_never_filled_reads_as_none(tmp_path):
    connect(tmp_path / "control.db").close()

    with pytest.raises(SettingsError, match=r"There is no store at .*: start `pipeline-alerts serve` once"):
        open_reader(tmp_path)


def test_a_file_that_is_no_store_is_not_read_as_one(tmp_path):
    (tmp_path / "control.db").write_bytes(b"these are my notes" * 1_000)

    with pytest.raises(SettingsError, match="not a store of ours"):
        open_reader(tmp_path)


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "control.db"
    file.write_bytes(b"these are my notes" * 1_000)

    with pytest.raises(SettingsError, match="not a store"):
        connect(file)

    assert file.read_bytes().startswith(b"these are my notes")


def test_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_file_system", lambda _path: "nfs4")

    with pytest.raises(SettingsError, match="network file system"):
        connect(tmp_path / "control.db")


def test_the_file_system_of_a_path_is_known_here(tmp_path):
    assert sqlite._file_system(tmp_path)
    assert sqlite._file_system(tmp_path / "not" / "there" / "yet") == sqlite._file_system(tmp_path)


def test_reading_a_store_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(SettingsError, match="pipeline-alerts serve"):
        open_reader(tmp_path)


def test_a_reader_cannot_write(tmp_path, store):
    reading = read_only(tmp_path / "state" / "control.db")

    with pytest.raises(sqlite3.OperationalError):
        reading.execute("INSERT INTO meta VALUES ('a', 'b')")
    reading.close()


def test_a_transaction_that_fails_leaves_nothing(store):
    def fail():
        with transaction(store):
            store.execute("INSERT INTO meta VALUES ('half', 'written')")
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert store.execute("SELECT count(*) FROM meta").fetchone()[0] == 0


def test_a_locked_store_is_busy_and_free_again_afterwards(tmp_path, store, monkeypatch):
    store.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(tmp_path / "state" / "control.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def write():
        with transaction(store):
            store.execute("INSERT INTO meta VALUES ('a', 'b')")

    with pytest.raises(StoreBusy):
        write()
    other.execute("ROLLBACK")
    write()

    assert store.execute("SELECT value FROM meta").fetchone()[0] == "b"
    other.close()


def test_a_full_store_is_busy_and_takes_more_when_there_is_room(store):
    (pages,) = store.execute("PRAGMA page_count").fetchone()
    store.execute(f"PRAGMA max_page_count = {pages}")

    def fill():
        with transaction(store):
            store.executemany("INSERT INTO meta VALUES (?, ?)", [(str(n), "x" * 8_000) for n in range(50)])

    with pytest.raises(StoreBusy, match="full"):
        fill()
    store.execute(f"PRAGMA max_page_count = {pages + 1_000}")
    fill()

    assert store.execute("SELECT count(*) FROM meta").fetchone()[0] == 50


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SettingsError, match="cannot be opened for writing"):
        ControlStore(tmp_path / "file")

    assert [file.name for file in tmp_path.iterdir()] == ["file"]
