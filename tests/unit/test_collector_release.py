"""Getting an official archive, from a real server on loopback that serves what a test puts there."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from collector import binary, build, cache, release
from collector.errors import CollectorError

PROGRAM = b"#!/bin/sh\necho a Collector\n"
NAME = "otelcol-contrib_test_linux_amd64.tar.gz"


class Mirror:
    """Serves bytes by path; can promise more than it sends."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.promised_extra_bytes = 0
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = mirror.files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + mirror.promised_extra_bytes))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.url = f"{self.base}/{NAME}"

    def publish(self, archive: bytes, digest: str | None = None, name: str = NAME) -> None:
        self.files[name] = archive
        self.files[f"{name}.sha256"] = (digest or sha256(archive)).encode()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    served = Mirror()
    thread = threading.Thread(target=partial(served.server.serve_forever, 0.02))
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": ""}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(*members: tarfile.TarInfo | tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as content:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                content.addfile(member)
            else:
                entry = tarfile.TarInfo(member[0])
                entry.size = len(member[1])
                content.addfile(entry, io.BytesIO(member[1]))
    return target.getvalue()


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


GOOD = archive(("README.md", b"read me"), ("otelcol-contrib", PROGRAM))


def from_mirror(environ: dict[str, str], mirror: Mirror, digest: str = "") -> Path:
    return release.from_url(environ, mirror.url, digest, lambda _: None)


def left_behind(environ: dict[str, str]) -> list[Path]:
    return [path for path in cache.home(environ).rglob("*") if path.is_file()]


def test_a_published_archive_becomes_an_executable_in_the_cache(environ, mirror):
    mirror.publish(GOOD)

    path = from_mirror(environ, mirror)

    assert path.read_bytes() == PROGRAM
    assert subprocess.run([path], capture_output=True, check=True).stdout == b"a Collector\n"
    assert cache.cached(environ) == path
    assert left_behind(environ) == [path]


def test_a_digest_that_the_person_gives_wins_over_the_published_one(environ, mirror):
    mirror.publish(GOOD, digest="0" * 64)

    assert from_mirror(environ, mirror, digest=sha256(GOOD).upper()).read_bytes() == PROGRAM


def test_a_wrong_digest_is_refused_and_leaves_nothing(environ, mirror):
    mirror.publish(GOOD, digest="f" * 64)

    with pytest.raises(CollectorError, match=f"has SHA-256 {sha256(GOOD)}, but {'f' * 64} was promised"):
        from_mirror(environ, mirror)

    assert left_behind(environ) == []


def test_a_digest_file_that_is_a_web_page_is_refused(environ, mirror):
    mirror.files = {NAME: GOOD, f"{NAME}.sha256": b"<html>please log in</html>"}

    with pytest.raises(CollectorError, match="holds no SHA-256"):
        from_mirror(environ, mirror)


def test_a_download_that_ends_early_is_refused_and_leaves_nothing(environ, mirror):
    mirror.publish(GOOD)
    mirror.promised_extra_bytes = 100

    with pytest.raises(release.Unreachable, match=f"ended after {len(GOOD)} of {len(GOOD) + 100} bytes"):
        from_mirror(environ, mirror, digest=sha256(GOOD))

    assert left_behind(environ) == []


def test_an_archive_that_is_not_there_is_named_with_the_answer(environ, mirror):
    with pytest.raises(release.Unreachable, match=r"\.sha256 answered 404"):
        from_mirror(environ, mirror)


def test_a_server_that_refuses_is_named(environ, mirror):
    mirror.publish(GOOD)
    closed = mirror.url.replace(str(mirror.server.server_address[1]), "1")

    with pytest.raises(release.Unreachable, match=r"cannot be reached: .*refused"):
        release.from_url(environ, closed, sha256(GOOD), lambda _: None)


def test_an_address_that_is_no_web_address_is_refused(environ):
    with pytest.raises(CollectorError, match="is not an http or https address"):
        release.from_url(environ, "file:///etc/passwd", "0" * 64, lambda _: None)


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
def test_an_archive_that_hides_something_else_under_the_name_is_refused(environ, mirror, evil):
    mirror.publish(evil)

    with pytest.raises(CollectorError, match=r"not a plain file|has no otelcol-contrib in it"):
        from_mirror(environ, mirror)

    assert left_behind(environ) == []
    assert not (cache.home(environ).parent / "otelcol-contrib").exists()


def test_what_is_no_archive_is_refused(environ, mirror):
    mirror.publish(b"not a gzip file")

    with pytest.raises(CollectorError, match="cannot be unpacked"):
        from_mirror(environ, mirror)


def test_a_truncated_archive_with_its_own_digest_is_refused(environ, mirror):
    content = archive(("otelcol-contrib", os.urandom(100_000)))
    mirror.publish(content[: len(content) // 2])

    with pytest.raises(CollectorError, match="cannot be unpacked"):
        from_mirror(environ, mirror)

    assert left_behind(environ) == []


def test_an_archive_that_was_carried_in_needs_a_digest(environ, tmp_path):
    carried = tmp_path / NAME
    carried.write_bytes(GOOD)

    with pytest.raises(CollectorError, match=f"put {NAME}.sha256 beside it, or give --sha256"):
        release.from_file(environ, carried, "", lambda _: None)

    beside = tmp_path / f"{NAME}.sha256"
    beside.write_text(sha256(GOOD))
    assert release.from_file(environ, carried, "", lambda _: None).read_bytes() == PROGRAM


OFFICIAL = [("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "x86_64"), ("darwin", "arm64")]


@pytest.mark.parametrize(("system", "machine"), OFFICIAL)
def test_an_archive_under_an_official_name_has_to_be_the_pinned_one_whatever_its_mirror_says(
    environ, mirror, tmp_path, system, machine
):
    name = release.archive_url(system, machine).rpartition("/")[2]
    mirror.publish(GOOD, name=name)
    carried = tmp_path / name
    carried.write_bytes(GOOD)
    (tmp_path / f"{name}.sha256").write_text(sha256(GOOD))

    with pytest.raises(CollectorError, match="it is not what was published"):
        release.from_url(environ, f"{mirror.base}/{name}", "", lambda _: None)
    with pytest.raises(CollectorError, match="it is not what was published"):
        release.from_file(environ, carried, "", lambda _: None)
    assert left_behind(environ) == []

    assert release.from_file(environ, carried, sha256(GOOD), lambda _: None).read_bytes() == PROGRAM


def test_the_pinned_one_needs_no_digest_beside_it(environ, mirror, monkeypatch, tmp_path):
    table = tmp_path / "releases.sha256"
    table.write_text(f"# a comment\n{sha256(GOOD)}  {NAME}\n")
    monkeypatch.setattr(release, "PINNED", table)
    mirror.files = {NAME: GOOD}

    assert from_mirror(environ, mirror).read_bytes() == PROGRAM


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


def test_the_manifest_pins_the_version_that_everything_else_names():
    lines = [line.split("#")[0].strip() for line in cache.manifest().splitlines()]

    assert f"version: {cache.VERSION}" in lines
    assert build.BUILDER.endswith(f"@v{cache.VERSION}")


def test_a_comment_in_the_manifest_does_not_make_a_new_build(monkeypatch):
    before = cache.build_prefix()

    monkeypatch.setattr(cache, "manifest", lambda: cache.MANIFEST.read_text() + "\n# a remark\n")
    assert cache.build_prefix() == before

    monkeypatch.setattr(cache, "manifest", lambda: cache.MANIFEST.read_text() + "\nmore: true\n")
    assert cache.build_prefix() != before


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def components(*without: str, version: str = cache.VERSION) -> str:
    return f"echo '    version: {version}'\n" + "\n".join(
        f"echo '    - name: {name}'" for name in sorted(binary.REQUIRED - set(without))
    )


def test_a_collector_named_in_otelcol_comes_first(environ, tmp_path):
    named = program(tmp_path / "named", "my-collector", components())
    program(tmp_path / "path", "otelcol-contrib", components())

    assert binary.find({**environ, "OTELCOL": str(named), "PATH": str(tmp_path / "path")}) == named


def test_a_named_collector_that_is_missing_or_lacks_something_is_refused(environ, tmp_path):
    core = program(tmp_path, "otelcol", components("redaction", "file_storage"))

    with pytest.raises(CollectorError, match="which is not a program"):
        binary.find({**environ, "OTELCOL": str(tmp_path / "nowhere")})
    with pytest.raises(CollectorError, match="which lacks file_storage, redaction: use otelcol-contrib"):
        binary.find({**environ, "OTELCOL": str(core)})


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (components(version="0.145.0"), r"is version 0\.145; 0\.156 or newer is needed"),
        ("echo hello", "is no Collector"),
    ],
)
def test_a_named_program_that_is_too_old_or_something_else_is_refused(environ, tmp_path, script, reason):
    named = program(tmp_path, "otelcol", script)

    with pytest.raises(CollectorError, match=f"which {reason}"):
        binary.find({**environ, "OTELCOL": str(named)})


def test_a_collector_on_the_path_that_lacks_something_is_passed_over(environ, tmp_path):
    program(tmp_path / "path", "otelcol", components("redaction"))
    searched = {**environ, "PATH": str(tmp_path / "path")}

    assert binary.find(searched) is None

    whole = program(tmp_path / "path", "otelcol-contrib", components())
    assert binary.find(searched) == whole


def test_without_a_network_and_without_go_one_sentence_says_what_to_do(environ, monkeypatch):
    monkeypatch.setattr(release, "archive_url", lambda: f"http://127.0.0.1:1/{NAME}")

    with pytest.raises(CollectorError) as refused:
        binary.install(environ, lambda _: None)

    text = str(refused.value)
    assert "\n" not in text
    for hint in ("cannot be reached", "Go is not on the PATH", "OTELCOL", "--from-file", "install Go 1.26"):
        assert hint in text


def test_a_go_that_is_too_old_is_named(environ, tmp_path):
    program(tmp_path / "bin", "go", "echo go version go1.22.3 linux/amd64")

    with pytest.raises(CollectorError, match=r"is go1\.22\.3; the Collector's sources need Go 1\.26"):
        build.go_version({**environ, "PATH": str(tmp_path / "bin")})


def test_a_build_that_fails_says_with_which_words_and_leaves_nothing(environ, tmp_path):
    script = 'case "$1" in version) echo go version go1.26.8 linux/amd64;; *) echo cannot find module; exit 3;; esac'
    program(tmp_path / "bin", "go", script)

    with pytest.raises(CollectorError, match=r"fetching builder .* failed \(exit code 3\):\ncannot find module"):
        build.build({**environ, "PATH": str(tmp_path / "bin")}, lambda _: None)

    assert cache.cached(environ) is None
    assert left_behind(environ) == []


def test_without_a_network_a_build_that_fails_ends_with_what_to_do(environ, monkeypatch, tmp_path):
    monkeypatch.setattr(release, "archive_url", lambda: f"http://127.0.0.1:1/{NAME}")
    script = 'case "$1" in version) echo go version go1.26.8 linux/amd64;; *) echo no route to proxy; exit 1;; esac'
    program(tmp_path / "bin", "go", script)

    with pytest.raises(CollectorError) as refused:
        binary.install({**environ, "PATH": str(tmp_path / "bin")}, lambda _: None)

    first, *_, what_failed, what_to_do = str(refused.value).splitlines()
    assert "cannot be reached" in first
    assert what_failed == "no route to proxy"
    assert "OTELCOL" in what_to_do
    assert "--from-file" in what_to_do


def test_a_release_that_is_something_else_is_removed_again(environ, mirror):
    mirror.publish(GOOD)

    with pytest.raises(CollectorError, match="is no Collector; it was removed"):
        binary.install(environ, lambda _: None, source=binary.Source(url=mirror.url))

    assert cache.cached(environ) is None


def test_an_official_archive_that_is_not_what_the_person_expects_is_not_replaced_by_a_build(
    environ, mirror, monkeypatch
):
    mirror.publish(GOOD)
    monkeypatch.setattr(release, "archive_url", lambda: mirror.url)

    with pytest.raises(CollectorError, match="it is not what was published"):
        binary.install(environ, lambda _: None, source=binary.Source(sha256="0" * 64))


def test_a_second_install_waits_for_the_first_and_takes_its_result(environ, mirror, tmp_path):
    whole = f"#!/bin/sh\n{components()}\n".encode()
    mirror.publish(archive(("otelcol-contrib", whole)))
    said: list[str] = []
    taken: list[Path] = []

    with cache.exclusive(environ, lambda: None):
        second = threading.Thread(target=lambda: taken.append(binary.install(environ, said.append)))
        second.start()
        first = from_mirror(environ, mirror)
    second.join(timeout=30)

    assert taken == [first]
    assert said in (["Another process is getting a Collector; waiting for it"], [])
