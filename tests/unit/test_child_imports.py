"""Watching what a program imports: several may watch, and the module looks as if nobody had."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from instrumentation.child._pipeline_alerts_child.imports import Watch
from tests.servers.children import run


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "watched_one.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", [one for one in sys.meta_path if not isinstance(one, Watch)])
    yield "watched_one"
    sys.modules.pop("watched_one", None)


def test_two_who_watch_for_the_same_module_both_see_it(module: str) -> None:
    seen: list[tuple[str, int]] = []
    for who in ("first", "second", "third"):
        Watch({module: lambda loaded, who=who: seen.append((who, loaded.value))})  # type: ignore[dict-item, misc]

    loaded = importlib.import_module(module)

    assert sorted(seen) == [("first", 1), ("second", 1), ("third", 1)]
    assert type(loaded.__loader__).__name__ == type(loaded.__spec__.loader).__name__ == "SourceFileLoader"
    assert not any(isinstance(finder, Watch) for finder in sys.meta_path)


def test_a_finder_that_asks_all_the_others_again_is_no_trouble(module: str) -> None:
    seen: list[ModuleType] = []

    class Delegating:
        is_asking = False

        def find_spec(self, name: str, path: object = None, target: object = None) -> object:
            if self.is_asking or name != module:
                return None
            self.is_asking = True
            try:
                return importlib.util.find_spec(name)
            finally:
                self.is_asking = False

    sys.meta_path.insert(0, Delegating())  # type: ignore[arg-type]
    Watch({module: seen.append})
    sys.meta_path.insert(0, Delegating())  # type: ignore[arg-type]

    loaded = importlib.import_module(module)

    assert seen == [loaded]


def test_what_is_loaded_already_is_seen_at_once_and_what_the_look_raises_goes_nowhere(module: str) -> None:
    loaded = importlib.import_module(module)
    seen: list[ModuleType] = []

    Watch({module: seen.append})
    Watch({module: lambda _: 1 / 0})  # type: ignore[dict-item, return-value]

    assert seen == [loaded]


def test_a_module_that_fails_raises_what_it_raises_and_can_be_tried_again(module: str, tmp_path: Path) -> None:
    seen: list[int] = []
    Watch({module: lambda loaded: seen.append(loaded.value)})
    (tmp_path / "watched_one.py").write_text("value = missing\n")

    with pytest.raises(NameError, match="missing"):
        importlib.import_module(module)
    (tmp_path / "watched_one.py").write_text("value = 12345\n")
    importlib.invalidate_caches()
    importlib.import_module(module)

    assert seen == [12345]


@pytest.mark.parametrize(
    ("program", "more"),
    [("import logging; logging.error('a')", {"_json", "fcntl"}), ("import subprocess", {"atexit"})],
)
def test_a_child_waits_for_hardly_a_module_of_the_library(program: str, more: set[str], tmp_path: Path) -> None:
    program += "; import sys; print(*sys.modules)"

    alone, under_run = (
        {
            name
            for name in run(program, folder, cwd=tmp_path).out.decode().split()
            if "_pipeline_alerts_child" not in name
        }
        for folder in (None, tmp_path / "run")
    )

    assert under_run - alone - {"sitecustomize"} == more
