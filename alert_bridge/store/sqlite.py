"""SQLite the way both stores use it: durable connections, numbered migrations, one honest kind of transaction.

Each store is one file with one writing process; anyone may read beside it, because the file is in WAL mode. SQL
lives in `schema/<store>/NNN_what_it_does.sql` and stays with what SQLite 3.26 and PostgreSQL share, as far as it can.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from alert_bridge.errors import SettingsError, StoreBusy

__all__ = ["connect", "migrate", "read_only", "transaction"]

BUSY_TIMEOUT_MS = 3_000
PAGE_SIZE_BYTES = 8_192
FILE_MODE = 0o600  # logs are for their owner; the -wal and -shm files inherit it
FOLDER_MODE = 0o700

# WAL needs memory shared between processes, which these do not offer across hosts.
_NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "lustre", "gpfs", "beegfs"})


def connect(path: Path) -> sqlite3.Connection:
    """Open a store for writing, creating its file and folder if need be; statements commit by themselves.

    Raises:
        SettingsError: the file cannot be a store: no permission, a network file system, or not SQLite at all.
    """
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    except OSError as error:
        raise SettingsError(f"{path} cannot be opened for writing: {error.strerror}") from error
    kind = _file_system(path)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise SettingsError(
            f"{path} lies on a network file system ({kind}), where SQLite loses data: put --state on a local disk"
        )
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.row_factory = sqlite3.Row
    try:
        # The first two only count before the first table is written.
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.OperationalError as error:
        connection.close()
        raise StoreBusy(f"{path}: {error}") from error
    except sqlite3.DatabaseError as error:
        connection.close()
        raise SettingsError(
            f"{path} is not a store of ours ({error}): move it away, or choose another --state"
        ) from error
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Open a store for reading, beside its writer or without one.

    Raises:
        SettingsError: there is no such store, or it is empty: a bridge that refused its policy gets no further.
    """
    missing = SettingsError(f"There is no store at {path}: start `pipeline-alerts serve` once, or pass its --state")
    if not path.exists():
        raise missing
    connection = sqlite3.connect(
        path.absolute().as_uri() + "?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA query_only = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        if isinstance(error, sqlite3.OperationalError):
            raise  # locked or out of reach for a moment: not what the file is
        raise SettingsError(f"{path} is not a store of ours ({error}): pass the right --state") from error
    if not version:
        connection.close()
        raise missing
    return connection


def migrate(connection: sqlite3.Connection, store: str) -> int:
    """Bring a store to the newest schema of `schema/<store>/`, one file per transaction; returns the version.

    Raises:
        SettingsError: the file was written by a newer release.
    """
    steps = _migrations(store)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise SettingsError(
            f"The {store} store has schema {version}; this release knows {len(steps)}: install the newer release again"
        )
    for number, script in enumerate(steps[version:], start=version + 1):
        # executescript would commit first; BEGIN and COMMIT in one script make the step and its number one change.
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise StoreBusy(f"The {store} store could not be brought to schema {number}: {error}") from error
    return len(steps)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing of it, on disk when the block ends.

    Raises:
        StoreBusy: the store is locked, full, damaged or gone; nothing was written.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    except (sqlite3.OperationalError, sqlite3.DatabaseError) as error:
        _roll_back(connection)
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError):
            raise  # a mistake of ours, not of the disk
        raise StoreBusy(f"The store could not take it: {error}") from error
    except BaseException:
        _roll_back(connection)
        raise


def _roll_back(connection: sqlite3.Connection) -> None:
    # SQLite may have rolled back by itself (full disk), in which case there is nothing left to do.
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _migrations(store: str) -> list[str]:
    folder = resources.files("alert_bridge.store") / "schema" / store
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    numbers = [int(file.name.split("_", 1)[0]) for file in files]
    if numbers != list(range(1, len(files) + 1)):
        raise AssertionError(f"schema/{store} must be numbered from 001 without gaps, found {numbers}")
    return [file.read_text(encoding="utf-8") for file in files]


def _file_system(path: Path) -> str:
    """The type of the file system that the path lies on; empty where the platform does not say."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    target = str(path.resolve())
    best, kind = "", ""
    for mount in mounts:
        _, point, file_system, *_ = mount.split(" ")
        if len(point) > len(best) and (target == point or target.startswith(point.rstrip("/") + "/")):
            best, kind = point, file_system
    return kind
