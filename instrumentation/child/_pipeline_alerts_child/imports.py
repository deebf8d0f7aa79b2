"""Runs a function when the program imports a module, and not before. Steps aside as soon as all have been seen.

Importing `logging` ourselves would cost every child 12 ms, and hide a script's own module of that name.
"""

import sys

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Watch:
    """A meta path finder that finds nothing itself: it lets the others find, and looks at what was loaded.

    Args:
        wanted: what to run, by name of the module; called with the module, its exceptions are swallowed.
        again: the name among them that may be loaded again, and is looked at each time.
    """

    def __init__(self, wanted: "dict[str, Callable[[ModuleType], None]]", again: str = "") -> None:
        self._wanted = wanted
        self._again = again
        for name in list(wanted):
            if name in sys.modules:
                self._run(name, sys.modules[name])
        if wanted:
            sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, path: "Any" = None, target: "Any" = None) -> "Any":
        if fullname not in self._wanted:
            return None
        finders = list(sys.meta_path)
        if self in finders:  # those before were asked, and another of us among them would ask us again, for ever
            del finders[: finders.index(self) + 1]
        for finder in finders:
            find = getattr(finder, "find_spec", None)
            if find is None:
                continue
            spec = find(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader, self, fullname)
                return spec
        return None

    def _run(self, name: str, module: "ModuleType") -> None:
        action = self._wanted.get(name) if name == self._again else self._wanted.pop(name, None)
        try:
            if not self._wanted and self in sys.meta_path:
                sys.meta_path.remove(self)
            if action is not None:
                action(module)
        except Exception:
            pass


class _Loader:
    def __init__(self, loader: "Any", watch: "Watch", name: str) -> None:
        self._loader = loader
        self._watch = watch
        self._name = name

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)  # `python -m` asks for the code, others for the source

    def create_module(self, spec: "Any") -> "Any":
        return self._loader.create_module(spec)

    def exec_module(self, module: "Any") -> None:
        # The module must look as if nobody had watched.
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._watch._run(self._name, module)  # noqa: SLF001 - its other half
