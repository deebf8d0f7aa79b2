"""Looks at calls of a library's method when they have returned. What it raises and is called stays its own."""

from __future__ import annotations

TYPE_CHECKING = False  # the real one costs every child the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MARK = "_pipeline_alerts"


def after(owner: Any, name: str, look: Callable[..., Any]) -> None:
    """Has ``look`` called with the arguments of each call that returned; its own exceptions go nowhere.

    What ``look`` returns, if anything, is what the call returns. Meant for methods that calls pass on their way and
    that do not fail: our frame would show in their traceback.
    """
    original = getattr(owner, name)
    if getattr(original, _MARK, False):
        return

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        try:
            instead = look(self, *args, **kwargs)
        except Exception:
            return result
        return result if instead is None else instead

    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(method, attribute, getattr(original, attribute, None))
    setattr(method, _MARK, True)
    setattr(owner, name, method)
