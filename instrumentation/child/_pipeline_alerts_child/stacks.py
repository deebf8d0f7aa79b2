"""Lets the supervising parent see where this process hangs: all its stacks, into a file of ours, when a signal asks.

`faulthandler` writes them from C, so also while the interpreter is stuck in compiled code. Nothing is printed.
"""

import os

from . import names
from .journal import FILE_MODE, MIN_FD

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


def offer(path: str) -> bool:
    """Answers the signal from now on, in forked children too; says whether it does.

    Not where somebody has the signal already: it is theirs, or ignored on purpose. The signal is one that the kernel
    ignores by default, so that it ends nothing where our handler is gone, and that means "look whether there is urgent
    data", so that a program that takes it later looks once in vain. The parent asks only who has our file open.
    """
    import _signal  # not `signal`, whose enumerations cost 1 ms

    if _signal.getsignal(names.STACKS_SIGNAL) != _signal.SIG_DFL:
        return False
    import fcntl
    from faulthandler import register

    low = os.open(path, _APPEND, FILE_MODE)
    try:
        high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, MIN_FD)
    finally:
        os.close(low)
    register(names.STACKS_SIGNAL, file=high, all_threads=True, chain=False)
    return True
