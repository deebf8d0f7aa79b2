"""A run's folder, and the socket that wakes its sender."""

from __future__ import annotations

from pathlib import Path

from instrumentation.sender.folder import bind_poke


def test_a_place_where_no_socket_can_be_bound_is_left_as_it_was(tmp_path: Path) -> None:
    too_long, other = tmp_path / ("é" * 60), tmp_path.parent
    too_long.mkdir()

    path, poke = bind_poke({"XDG_RUNTIME_DIR": str(too_long), "TMPDIR": str(other)})

    assert path is not None
    assert poke is not None
    assert list(too_long.iterdir()) == []
    poke.close()
    path.unlink()
    path.parent.rmdir()
