"""`pipeline-alerts run -- CMD …`: a pipeline under supervision, with nothing changed for it."""

from __future__ import annotations

import click

from alert_bridge.cli.durations import DURATION

__all__ = ["command"]


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--pipeline", metavar="NAME", default="", help="Its name in messages. Default: the script's or folder's.")
@click.option("--timeout", type=DURATION, default=0.0, metavar="TIME", help="Stop it after this long, e.g. 6h.")
@click.option("--silent-after", type=DURATION, default=0.0, metavar="TIME", help="Tell of a longer silence, e.g. 30m.")
@click.option("--stage", "stages", multiple=True, metavar="MODULE:FUNCTION", help="Make this function a stage.")
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    pipeline: str, timeout: float, silent_after: float, stages: tuple[str, ...], program: tuple[str, ...]
) -> None:
    """Run PROGRAM under supervision: same terminal, signals and exit code, and its errors, end and death are told."""
    from instrumentation.supervisor.arguments import Arguments
    from instrumentation.supervisor.command import run
    from instrumentation.supervisor.limits import Limits

    run(Arguments(program, pipeline, Limits(timeout_s=timeout, silent_after_s=silent_after), stages))
