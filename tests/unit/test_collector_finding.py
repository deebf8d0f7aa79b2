"""Which Collector is taken: the one that is named, one on the PATH, and only what has all that is needed."""

from __future__ import annotations

import pytest

from collector import binary
from collector.errors import CollectorError
from tests.servers.mirror import components, program


def test_a_collector_named_in_otelcol_comes_first(bare_environ, tmp_path):
    named = program(tmp_path / "named", "my-collector", components())
    program(tmp_path / "path", "otelcol-contrib", components())

    assert binary.find({**bare_environ, "OTELCOL": str(named), "PATH": str(tmp_path / "path")}) == named


def test_a_named_collector_that_is_missing_or_lacks_something_is_refused(bare_environ, tmp_path):
    core = program(tmp_path, "otelcol", components("redaction", "file_storage"))

    with pytest.raises(CollectorError, match="which is not a program"):
        binary.find({**bare_environ, "OTELCOL": str(tmp_path / "nowhere")})
    with pytest.raises(CollectorError, match="which lacks file_storage, redaction: use otelcol-contrib"):
        binary.find({**bare_environ, "OTELCOL": str(core)})


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (components(version="0.145.0"), r"is version 0\.145; 0\.156 or newer is needed"),
        ("echo hello", "is no Collector"),
    ],
)
def test_a_named_program_that_is_too_old_or_something_else_is_refused(bare_environ, tmp_path, script, reason):
    named = program(tmp_path, "otelcol", script)

    with pytest.raises(CollectorError, match=f"which {reason}"):
        binary.find({**bare_environ, "OTELCOL": str(named)})


def test_a_collector_on_the_path_that_lacks_something_is_passed_over(bare_environ, tmp_path):
    program(tmp_path / "path", "otelcol", components("redaction"))
    searched = {**bare_environ, "PATH": str(tmp_path / "path")}

    assert binary.find(searched) is None

    whole = program(tmp_path / "path", "otelcol-contrib", components())
    assert binary.find(searched) == whole
