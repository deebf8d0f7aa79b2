"""`pipeline-alerts init`: a policy, its schema for editors, an example environment file, and a Slack app manifest."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import click

from alert_bridge.errors import UsageError
from alert_bridge.policy import schema
from alert_bridge.policy.addresses import PLACEHOLDER
from alert_bridge.policy.load import packaged_path
from alert_bridge.policy.schedules import month_after, month_of

__all__ = ["command", "starter_policy"]

_STARTERS = Path(__file__).with_name("starters")
_EMPTY_ROTA = "    rota: {}\n"


@click.command("init")
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default=Path(), metavar="DIR",
    help="Where to write; default: here.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite files that are already there.")
def command(folder: Path, *, force: bool) -> None:
    """Write alerting.yaml, alerting.schema.json, .env.example and slack-app-manifest.yaml.

    Writes all of them or none. Exit code 2 if one is there already and --force is not given.
    """
    files = {
        "alerting.yaml": starter_policy(datetime.now(UTC).date()),
        "alerting.schema.json": schema.document(),
        ".env.example": (_STARTERS / "env.example").read_text(encoding="utf-8"),
        "slack-app-manifest.yaml": (_STARTERS / "slack-app-manifest.yaml").read_text(encoding="utf-8"),
    }
    there = [name for name in files if (folder / name).exists()]
    if there and not force:
        raise UsageError(
            f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} in {folder.resolve()} already;"
            " nothing was written. Choose another --dir, or overwrite with --force"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}") from error
    policy = folder / "alerting.yaml"
    for line in (
        f"Wrote {', '.join(files)} in {folder.resolve()}.",
        f"1. Put your channels and addresses into {policy}, where it says {PLACEHOLDER}.",
        f"2. pipeline-alerts check-policy {policy}",
        f"3. pipeline-alerts serve --policy {policy}    # without secrets it previews every message",
        "4. pipeline-alerts collector run               # in another terminal",
        "5. pipeline-alerts test-alert --audience mdd   # through the real path, with a receipt",
        "6. For real: create the Slack app from its manifest, and set what .env.example names where `serve` runs.",
    ):
        click.echo(line)


def starter_policy(today: date) -> str:
    """The packaged policy with a rota that begins this month."""
    text = packaged_path().read_text(encoding="utf-8")
    months = "".join(
        f'      {month}: {{name: Your Name, slack: "@{PLACEHOLDER}", email: [{PLACEHOLDER}-you@example.org]}}\n'
        for month in (month_of(today), month_after(today))
    )
    assert text.count(_EMPTY_ROTA) == 1
    return text.replace(_EMPTY_ROTA, f"    rota:\n{months}")
