"""Functions that become stages without a change to their code: named by import path, wrapped when loaded.

Needs `instrumentation` in the program's own environment; where it is not, the names do nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def wanted(named: str) -> dict[str, Callable[[ModuleType], None]]:
    """What to do when a module is loaded, from `module:function` or `module:Class.method`, separated by commas."""
    of_module: dict[str, list[str]] = {}
    for path in named.split(","):
        module, colon, function = path.strip().partition(":")
        if module and colon and function:
            of_module.setdefault(module, []).append(function)
    return {module: _wrapper(functions) for module, functions in of_module.items()}


def _wrapper(functions: list[str]) -> Callable[[ModuleType], None]:
    def wrap(module: ModuleType) -> None:
        from instrumentation.stages import stage

        for path in functions:
            owner, _, name = path.rpartition(".")
            holder = getattr(module, owner) if owner else module
            original = vars(holder).get(name)
            if original is not None and not isinstance(original, (staticmethod, classmethod)):
                setattr(holder, name, stage(name)(original))

    return wrap
