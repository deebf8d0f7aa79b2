"""Getting an official archive, from a real server on loopback: only what was published, and nothing hidden in it."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile

import pytest

from collector import cache, release
from collector.errors import CollectorError
from tests.servers.mirror import (
    GOOD,
    NAME,
    PROGRAM,
    WHERE_NOBODY_LISTENS,
    archive,
    from_mirror,
    left_behind,
    link,
    sha256,
)


def test_a_published_archive_becomes_an_executable_in_the_cache(bare_environ, mirror):
    mirror.publish(GOOD)

    path = from_mirror(bare_environ, mirror)

    assert path.read_bytes() == PROGRAM
    assert subprocess.run([path], capture_output=True, check=True).stdout == b"a Collector\n"
    assert cache.cached(bare_environ) == path
    assert left_behind(bare_environ) == [path]


def test_a_digest_that_the_person_gives_wins_over_the_published_one(bare_environ, mirror):
    mirror.publish(GOOD, digest="0" * 64)

    assert from_mirror(bare_environ, mirror, digest=sha256(GOOD).upper()).read_bytes() == PROGRAM


def test_a_wrong_digest_is_refused_and_leaves_nothing(bare_environ, mirror):
    mirror.publish(GOOD, digest="f" * 64)

    with pytest.raises(CollectorError, match=f"has SHA-256 {sha256(GOOD)}, but {'f' * 64} was promised"):
        from_mirror(bare_environ, mirror)

    assert left_behind(bare_environ) == []


def test_a_digest_file_that_is_a_web_page_is_refused(bare_environ, mirror):
    mirror.files = {NAME: GOOD, f"{NAME}.sha256": b"<html>please log in</html>"}

    with pytest.raises(CollectorError, match="holds no SHA-256"):
        from_mirror(bare_environ, mirror)


def test_a_download_that_ends_early_is_refused_and_leaves_nothing(bare_environ, mirror):
    mirror.publish(GOOD)
    mirror.promised_extra_bytes = 100

    with pytest.raises(release.Unreachable, match=f"ended after {len(GOOD)} of {len(GOOD) + 100} bytes"):
        from_mirror(bare_environ, mirror, digest=sha256(GOOD))

    assert left_behind(bare_environ) == []


def test_an_archive_that_is_not_there_is_named_with_the_answer(bare_environ, mirror):
    with pytest.raises(release.Unreachable, match=r"\.sha256 answered 404"):
        from_mirror(bare_environ, mirror)


def test_a_server_that_refuses_is_named(bare_environ):
    with pytest.raises(release.Unreachable, match=r"cannot be reached: .*refused"):
        release.from_url(bare_environ, WHERE_NOBODY_LISTENS, sha256(GOOD), lambda _: None)


def test_an_address_that_is_no_web_address_is_refused(bare_environ):
    with pytest.raises(CollectorError, match="is not an http or https address"):
        release.from_url(bare_environ, "file:///etc/passwd", "0" * 64, lambda _: None)


@pytest.mark.parametrize(
    "evil",
    [
        archive(link("otelcol-contrib", "/etc/passwd", tarfile.SYMTYPE)),
        archive(("secret", b"x"), link("otelcol-contrib", "secret", tarfile.LNKTYPE)),
        archive(("../otelcol-contrib", PROGRAM)),
        archive(("/otelcol-contrib", PROGRAM)),
        archive(("bin/otelcol-contrib/../../otelcol-contrib", PROGRAM)),
        archive(("README.md", b"no Collector")),
    ],
    ids=["symbolic link", "hard link", "climbing out", "absolute", "climbing in", "absent"],
)
def test_an_archive_that_hides_something_else_under_the_name_is_refused(bare_environ, mirror, evil):
    mirror.publish(evil)

    with pytest.raises(CollectorError, match=r"not a plain file|has no otelcol-contrib in it"):
        from_mirror(bare_environ, mirror)

    assert left_behind(bare_environ) == []
    assert not (cache.home(bare_environ).parent / "otelcol-contrib").exists()


def test_what_is_no_archive_is_refused(bare_environ, mirror):
    mirror.publish(b"not a gzip file")

    with pytest.raises(CollectorError, match="cannot be unpacked"):
        from_mirror(bare_environ, mirror)


def test_a_truncated_archive_with_its_own_digest_is_refused(bare_environ, mirror):
    content = archive(("otelcol-contrib", os.urandom(100_000)))
    mirror.publish(content[: len(content) // 2])

    with pytest.raises(CollectorError, match="cannot be unpacked"):
        from_mirror(bare_environ, mirror)

    assert left_behind(bare_environ) == []


def test_an_archive_that_was_carried_in_needs_a_digest(bare_environ, tmp_path):
    carried = tmp_path / NAME
    carried.write_bytes(GOOD)

    with pytest.raises(CollectorError, match=f"put {NAME}.sha256 beside it, or give --sha256"):
        release.from_file(bare_environ, carried, "", lambda _: None)

    beside = tmp_path / f"{NAME}.sha256"
    beside.write_text(sha256(GOOD))
    assert release.from_file(bare_environ, carried, "", lambda _: None).read_bytes() == PROGRAM


OFFICIAL = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")]


@pytest.mark.parametrize(("system", "machine"), OFFICIAL)
def test_an_archive_under_an_official_name_has_to_be_the_pinned_one_whatever_its_mirror_says(
    bare_environ, mirror, tmp_path, system, machine
):
    name = release.archive_url(system, machine).rpartition("/")[2]
    mirror.publish(GOOD, name=name)
    carried = tmp_path / name
    carried.write_bytes(GOOD)
    (tmp_path / f"{name}.sha256").write_text(sha256(GOOD))

    with pytest.raises(CollectorError, match="it is not what was published"):
        release.from_url(bare_environ, f"{mirror.base}/{name}", "", lambda _: None)
    with pytest.raises(CollectorError, match="it is not what was published"):
        release.from_file(bare_environ, carried, "", lambda _: None)
    assert left_behind(bare_environ) == []

    assert release.from_file(bare_environ, carried, sha256(GOOD), lambda _: None).read_bytes() == PROGRAM


def test_the_pinned_one_needs_no_digest_beside_it(bare_environ, mirror, monkeypatch, tmp_path):
    table = tmp_path / "releases.sha256"
    table.write_text(f"# a comment\n{sha256(GOOD)}  {NAME}\n")
    monkeypatch.setattr(release, "PINNED", table)
    mirror.files = {NAME: GOOD}

    assert from_mirror(bare_environ, mirror).read_bytes() == PROGRAM


def test_the_pinned_digests_are_those_of_four_different_archives():
    lines = [line.split() for line in release.PINNED.read_text().splitlines() if not line.startswith("#")]

    assert sorted(name for _, name in lines) == sorted(
        release.archive_url(*official).rpartition("/")[2] for official in OFFICIAL
    )
    assert len({digest for digest, _ in lines if re.fullmatch("[0-9a-f]{64}", digest)}) == len(OFFICIAL)


@pytest.mark.parametrize(
    ("system", "machine", "ending"),
    [
        ("linux", "x86_64", "_linux_amd64.tar.gz"),
        ("linux", "aarch64", "_linux_arm64.tar.gz"),
        ("darwin", "arm64", "_darwin_arm64.tar.gz"),
    ],
)
def test_the_official_address_fits_the_machine(system, machine, ending):
    url = release.archive_url(system, machine)

    assert url.endswith(f"/v{cache.VERSION}/otelcol-contrib_{cache.VERSION}{ending}")


def test_a_machine_without_an_official_archive_is_named():
    with pytest.raises(CollectorError, match="no official Collector archive is known for linux on mips"):
        release.archive_url("linux", "mips")
