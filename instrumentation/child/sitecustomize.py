"""Starts the child side of pipeline-alerts, then hands over to the environment's own sitecustomize, if it has one.

Parses on any Python. On one older than 3.9, or when anything goes wrong, it only hands over.
"""

import os
import sys


def _boot():  # noqa: ANN202 - parses on any Python
    if sys.version_info < (3, 9):
        return
    try:
        from _pipeline_alerts_child import boot

        boot.start()
    except Exception:  # the program comes first, whatever is wrong with us
        pass


def _hand_over():  # noqa: ANN202 - the same
    folder = os.path.dirname(os.path.abspath(__file__))
    places = [index for index, entry in enumerate(sys.path) if entry == folder]
    ours = sys.modules.pop("sitecustomize", None)
    for index in reversed(places):
        del sys.path[index]
    try:
        import sitecustomize  # noqa: F401 - the environment's own
    except ImportError as error:
        if getattr(error, "name", "sitecustomize") != "sitecustomize":
            raise
    finally:
        # Children started with the path of this process need our folder on it.
        for index in places:
            sys.path.insert(index, folder)
        if ours is not None:
            sys.modules.setdefault("sitecustomize", ours)


try:
    _boot()
finally:
    _hand_over()
