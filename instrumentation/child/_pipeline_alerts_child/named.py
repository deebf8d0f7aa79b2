"""Functions that become stages without a change to their code: named by import path, wrapped when loaded.

Needs `instrumentation` in the program's own environment; where it is not, the names do nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType, ModuleType
    from typing import Any

_FUNCTION = type(lambda: None)  # a flow, a task or a class is an object of its own, with methods that a wrapper lacks
_MAIN = "__main__"
_MARK = "_pipeline_alerts_stage"


def wanted(named: str) -> dict[str, Callable[[ModuleType], None]]:
    """What to do when a module is loaded, from `module:function` or `module:Class.method`, separated by commas."""
    return {module: _wrapper(functions) for module, functions in _by_module(named).items()}


def watch_main(named: str) -> None:
    """Makes the functions stages that are defined in the program's own file, which no import loads.

    Its functions are called by the lines after their definitions, so they are wrapped between two lines of the file: a
    trace function sees those, and steps aside when the last wanted name is there, before any of the program's work.
    A debugger or a coverage tool that traces already keeps its place, and the names in the program's file do nothing.
    """
    if sys.gettrace() is None:
        sys.settrace(_Main(_by_module(named)).begin)


def _by_module(named: str) -> dict[str, list[str]]:
    of_module: dict[str, list[str]] = {}
    for path in named.split(","):
        module, colon, function = path.strip().partition(":")
        if module and colon and function:
            of_module.setdefault(module, []).append(function)
    return of_module


def _wrapper(functions: list[str]) -> Callable[[ModuleType], None]:
    def wrap(module: ModuleType) -> None:
        for path in functions:
            try:
                _make_stage(vars(module), path)
            except Exception:  # it stays what it is; the parent names those that never ran
                pass

    return wrap


def _make_stage(place: dict[str, Any], path: str) -> bool:
    """Puts a stage in the function's place; says whether there is nothing more to wait for."""
    first, *within = path.split(".")
    if first not in place:
        return False
    if not within:
        step = _stage_of(place[first], first)
        if step is not None:
            place[first] = step
        return True
    holder = place[first]
    for name in within[:-1]:
        holder = _found(holder, name)
    step = _stage_of(_found(holder, within[-1]), within[-1])
    if step is not None:
        setattr(holder, within[-1], step)
    return True  # a class is whole when it is there


def _stage_of(found: Any, name: str) -> Any:
    """A stage of what was found, or None where none can be made of it or it is one already."""
    kind = type(found)
    original = found.fget if kind is property else found.__func__ if kind in (staticmethod, classmethod) else found
    if type(original) is not _FUNCTION or hasattr(original, _MARK):
        return None
    from instrumentation.stages import stage

    step: Any = stage(name)(original)
    setattr(step, _MARK, True)
    if kind is property:
        return found.getter(step)
    return step if original is found else kind(step)


def _found(holder: Any, name: str) -> Any:
    """What a class has under the name, itself or from its bases, as it was defined; None if it has not."""
    for each in getattr(holder, "__mro__", (holder,)):
        if name in getattr(each, "__dict__", ()):
            return each.__dict__[name]
    return None


class _Main:
    """Looks at the lines of the program's own file until all wanted functions are defined."""

    def __init__(self, wanted_in: dict[str, list[str]]) -> None:
        self._wanted_in = wanted_in
        self._missing: list[str] = []

    def begin(self, frame: FrameType, _event: str, _arg: object) -> Callable[..., Any] | None:
        """For every new frame: the file of the program is the first module frame that is called `__main__`."""
        if frame.f_code.co_name != "<module>" or frame.f_globals.get("__name__") != _MAIN:
            return None
        names = {_MAIN, _module_name(frame.f_globals)}
        defined = _global_names(frame.f_code)
        found = [path for module, paths in self._wanted_in.items() if module in names for path in paths]
        self._missing = [path for path in found if path.partition(".")[0] in defined]
        if self._missing:
            return self.line
        self._end()
        return None

    def line(self, frame: FrameType, event: str, _arg: object) -> Callable[..., Any] | None:
        """Between two lines of it."""
        try:
            self._missing = [path for path in self._missing if not _make_stage(frame.f_globals, path)]
        except Exception:  # whatever is wrong with us, the program goes on without stages
            self._missing = []
        if self._missing and event != "return":
            return self.line
        frame.f_trace = None
        self._end()
        return None

    def _end(self) -> None:
        sys.settrace(None)


def _global_names(code: CodeType) -> set[str]:
    """What the code sets or asks for as a name of its module, which attributes that are called the same are not."""
    from opcode import opmap

    wanted = {opmap[name] for name in ("STORE_NAME", "LOAD_NAME", "STORE_GLOBAL")}
    found, high = set(), 0
    for at in range(0, len(code.co_code), 2):
        operation, index = code.co_code[at], code.co_code[at + 1] | high
        high = index << 8 if operation == opmap["EXTENDED_ARG"] else 0
        if operation in wanted and index < len(code.co_names):
            found.add(code.co_names[index])
    return found


def _module_name(place: dict[str, Any]) -> str:
    """`package.module` where it was started by `-m`, else the name of its file."""
    spec = place.get("__spec__")
    if spec is not None:
        return str(spec.name)
    return str(place.get("__file__", "")).rpartition("/")[2].rpartition(".")[0]
