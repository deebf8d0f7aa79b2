"""`pipeline-alerts attach ENV`: reaches Python programs that are started with a cleared environment."""

from __future__ import annotations

from pathlib import Path

import click

from alert_bridge.errors import UsageError

__all__ = ["command"]


@click.command()
@click.argument("environment", metavar="ENV", type=click.Path(path_type=Path))
@click.option("--remove", is_flag=True, help="Take it out again.")
def command(environment: Path, remove: bool) -> None:
    """Write a start-up file into ENV, a virtual or conda environment (or its Python), or remove it.

    Only needed for programs that `run` names as not followed. Outside of `run` the file does nothing.
    """
    from instrumentation.supervisor.attachment import attach, detach, site_packages

    folders = site_packages(environment)
    if not folders:
        raise UsageError(f"no site-packages folder in {environment}: name a virtual or conda environment")
    for folder in folders:
        try:
            done = detach(folder) if remove else attach(folder)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
        click.echo(f"{'removed' if remove else 'wrote'} {done}" if done else f"nothing to remove in {folder}")
