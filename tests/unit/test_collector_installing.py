"""Getting a Collector: a release, else a build, one at a time, and what to do where neither can be had."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from collector import binary, build, cache, release
from collector.errors import CollectorError
from tests.servers.bridge import WAIT_WITHIN_S, wait_for
from tests.servers.mirror import GOOD, WHERE_NOBODY_LISTENS, archive, components, from_mirror, left_behind, program


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


def test_without_a_network_and_without_go_one_sentence_says_what_to_do(bare_environ, monkeypatch):
    monkeypatch.setattr(release, "archive_url", lambda: WHERE_NOBODY_LISTENS)

    with pytest.raises(CollectorError) as refused:
        binary.install(bare_environ, lambda _: None)

    text = str(refused.value)
    assert "\n" not in text
    for hint in ("cannot be reached", "Go is not on the PATH", "OTELCOL", "--from-file", "install Go 1.26"):
        assert hint in text


def test_a_go_that_is_too_old_is_named(bare_environ, tmp_path):
    program(tmp_path / "bin", "go", "echo go version go1.22.3 linux/amd64")

    with pytest.raises(CollectorError, match=r"is go1\.22\.3; the Collector's sources need Go 1\.26"):
        build.go_version({**bare_environ, "PATH": str(tmp_path / "bin")})


def test_a_build_that_fails_says_with_which_words_and_leaves_nothing(bare_environ, tmp_path):
    script = 'case "$1" in version) echo go version go1.26.8 linux/amd64;; *) echo cannot find module; exit 3;; esac'
    program(tmp_path / "bin", "go", script)

    with pytest.raises(CollectorError, match=r"fetching builder .* failed \(exit code 3\):\ncannot find module"):
        build.build({**bare_environ, "PATH": str(tmp_path / "bin")}, lambda _: None)

    assert cache.cached(bare_environ) is None
    assert left_behind(bare_environ) == []


def test_without_a_network_a_build_that_fails_ends_with_what_to_do(bare_environ, monkeypatch, tmp_path):
    monkeypatch.setattr(release, "archive_url", lambda: WHERE_NOBODY_LISTENS)
    script = 'case "$1" in version) echo go version go1.26.8 linux/amd64;; *) echo no route to proxy; exit 1;; esac'
    program(tmp_path / "bin", "go", script)

    with pytest.raises(CollectorError) as refused:
        binary.install({**bare_environ, "PATH": str(tmp_path / "bin")}, lambda _: None)

    first, *_, what_failed, what_to_do = str(refused.value).splitlines()
    assert "cannot be reached" in first
    assert what_failed == "no route to proxy"
    assert "OTELCOL" in what_to_do
    assert "--from-file" in what_to_do


def test_a_release_that_is_something_else_is_removed_again(bare_environ, mirror):
    mirror.publish(GOOD)

    with pytest.raises(CollectorError, match="is no Collector; it was removed"):
        binary.install(bare_environ, lambda _: None, source=binary.Source(url=mirror.url))

    assert cache.cached(bare_environ) is None


def test_an_official_archive_that_is_not_what_the_person_expects_is_not_replaced_by_a_build(
    bare_environ, mirror, monkeypatch
):
    mirror.publish(GOOD)
    monkeypatch.setattr(release, "archive_url", lambda: mirror.url)

    with pytest.raises(CollectorError, match="it is not what was published"):
        binary.install(bare_environ, lambda _: None, source=binary.Source(sha256="0" * 64))


def test_a_second_install_waits_for_the_first_and_takes_its_result(bare_environ, mirror):
    whole = f"#!/bin/sh\n{components()}\n".encode()
    mirror.publish(archive(("otelcol-contrib", whole)))
    said: list[str] = []
    taken: list[Path] = []
    second = threading.Thread(target=lambda: taken.append(binary.install(bare_environ, said.append)))

    with cache.exclusive(bare_environ, lambda: None):
        second.start()
        wait_for(lambda: said)
        first = from_mirror(bare_environ, mirror)
    second.join(timeout=WAIT_WITHIN_S)

    assert taken == [first]
    assert said == ["Another process is getting a Collector; waiting for it"]
