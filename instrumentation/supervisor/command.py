"""The edge of `pipeline-alerts run`: from a command line to an exit like the program's own.

What is imported here, the program waits for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NoReturn

from instrumentation.child._pipeline_alerts_child import names as contract
from instrumentation.settings import Settings
from instrumentation.supervisor.arguments import Arguments
from instrumentation.supervisor.launch import Launch
from instrumentation.supervisor.outer import is_followed, without_outer
from instrumentation.supervisor.spawning import NOT_EXECUTABLE_EXIT_CODE, NOT_FOUND_EXIT_CODE, SHELL, NotStarted

if TYPE_CHECKING:
    from instrumentation.supervisor.ending import Ending
    from instrumentation.supervisor.supervision import Outcome

__all__ = ["run"]

_STDERR: Final = 2
_NOT_THERE: Final = (FileNotFoundError, NotADirectoryError, ValueError)
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)


def run(arguments: Arguments, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Runs the program under supervision and ends this process like the program ended."""
    _hold_closed_streams()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    command, limits = arguments.program, arguments.limits
    if arguments.stages:
        environ = {**environ, contract.ENV_STAGES: ",".join(arguments.stages)}
    if is_followed(environ):
        if limits.silent_after_s:
            _say_on_terminal("--silent-after is the outer run's to tell; it has no effect in here")
        if not limits.timeout_s:
            _become(command, environ, mask)  # inside of another `run`, which follows this program as it is
        _run_within(arguments, environ)
    environ = without_outer(environ)
    try:
        settings = Settings.from_environ(environ, arguments.pipeline)
        if settings.disabled:
            _become(command, environ, mask)
        launch = Launch.of(command, settings, environ, wants_stacks=bool(limits.silent_after_s))
    except Exception as error:  # noqa: BLE001 - whatever is wrong with us, the program runs
        is_place = isinstance(error, OSError)
        reason = "there is no place for the run's journal" if is_place else type(error).__name__
        _say_on_terminal(f"not supervised, {reason}: {error}")
        _become(command, environ, mask)
    if launch.failure is not None:
        _say(str(launch.failure))  # as a shell would; there is no program whose output it could be taken for
    try:
        from instrumentation.supervisor.supervision import Supervision

        outcome = Supervision(launch, limits).run()
    except Exception as error:  # noqa: BLE001 - whatever is wrong with us, the program's end stays the program's
        _say_on_terminal(
            f"supervision failed ({type(error).__name__}: {error}); records are kept in {launch.folder.path}"
        )
        ending = _ending_of(launch)
        _leave_to_a_lingerer(launch)
        _end_like(ending)
    if launch.failure is None and (not outcome.ending.is_success or outcome.errors):
        _say_on_terminal(_last_line(launch.pipeline, outcome, settings.endpoint))
    _end_like(outcome.ending)


def _run_within(arguments: Arguments, environ: Mapping[str, str]) -> NoReturn:
    from instrumentation.naming import name_of
    from instrumentation.supervisor.inner import run_within

    command = arguments.program
    try:
        name = arguments.pipeline or name_of(command)
        ending = run_within(command, name, arguments.limits.timeout_s, environ)
    except NotStarted as failure:
        _say(str(failure))
        os._exit(failure.exit_code)
    _end_like(ending)


def _hold_closed_streams() -> None:
    """What we open must not become the stdout of anybody; the program finds its streams closed all the same."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(fd)


def _become(command: Sequence[str], environ: Mapping[str, str], mask: set[int | signal.Signals]) -> NoReturn:
    for number in _IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        try:
            os.execvpe(command[0], list(command), environ)  # noqa: S606 - that is what the command is for
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            os.execve(SHELL, [SHELL, *command], environ)  # noqa: S606
    except (OSError, ValueError) as error:
        _say(f"{command[0]}: {getattr(error, 'strerror', 'command not found')}")
        os._exit(NOT_FOUND_EXIT_CODE if isinstance(error, _NOT_THERE) else NOT_EXECUTABLE_EXIT_CODE)


def _ending_of(launch: Launch) -> Ending:
    """Nothing but the wait; signals are passed on."""
    from instrumentation.supervisor.ending import Ending

    program = launch.program
    if program is None:
        return Ending(launch.failure.exit_code if launch.failure else NOT_EXECUTABLE_EXIT_CODE)
    while program.status is None:
        program.wait(1.0)
    return Ending.of(program.status)


def _leave_to_a_lingerer(launch: Launch) -> None:
    with contextlib.suppress(Exception):  # then the next run ships it
        from instrumentation.sender import linger

        launch.folder.unlock()
        if launch.settings.linger_seconds:
            linger.start(launch.folder.path, launch.settings, launch.environ)


def _end_like(ending: Ending) -> NoReturn:
    from instrumentation.supervisor.ending import TIMEOUT_EXIT_CODE

    number = ending.signal_number
    if number and not ending.is_signal_from_shell and not ending.is_timeout:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program's own core is the one to look at
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    # Not sys.exit: a thread that waits for a silent receiver must not hold the end up.
    os._exit(TIMEOUT_EXIT_CODE if ending.is_timeout else ending.exit_code)


def _last_line(pipeline: str, outcome: Outcome, endpoint: str) -> str:
    from instrumentation.redaction import scrub_text

    report = outcome.report
    endpoint = scrub_text(endpoint)
    parts = [pipeline if outcome.ending.is_success else f"{pipeline} {outcome.ending.words}"]
    if outcome.errors:
        parts.append(f"{outcome.errors} error{'' if outcome.errors == 1 else 's'}")
    if report.is_complete:
        parts.append(f"told to {endpoint}")
    else:
        reason = f" ({report.trouble})" if report.trouble else ""
        parts.append(f"not told yet: {endpoint} does not take it{reason}; kept in {outcome.folder}")
    return f"{'; '.join(parts)}; log: {report.log_path}"


def _say_on_terminal(text: str) -> None:
    """For a person, and never into a file or a pipe that a machine may read."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None and sys.stderr.isatty():
            _say(text)


def _say(text: str) -> None:
    if sys.stderr is None:
        return  # it was closed when we started
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"pipeline-alerts: {text}\n")
        sys.stderr.flush()
