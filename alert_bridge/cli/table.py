"""The lazy table of commands. A command is imported when it is called: `--help` loads no server, Prefect or W&B."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import click

__all__ = ["COMMANDS", "root"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives, and its line in `--help`."""

    module: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "run": Entry("alert_bridge.cli.run", "Run a pipeline under supervision: its errors, its end, its death."),
    "serve": Entry("alert_bridge.cli.serve", "Start the alert bridge."),
    "collector": Entry("alert_bridge.cli.collector", "Get, check and start an OpenTelemetry Collector."),
    "init": Entry("alert_bridge.cli.init", "Write a policy, an example environment file and a Slack app manifest."),
    "check-policy": Entry("alert_bridge.cli.check_policy", "Check a policy file, by line and column."),
    "test-alert": Entry("alert_bridge.cli.test_alert", "Send a marked message through the real path."),
    "status": Entry("alert_bridge.cli.status", "Books, queues and health per channel."),
    "why": Entry("alert_bridge.cli.why", "Say why a record or an incident was told, or was not, and what is next."),
    "silence": Entry("alert_bridge.cli.silence", "Hold back what is known for a while; list and end silences."),
    "ack": Entry("alert_bridge.cli.ack", "Take an incident, give it to somebody, or say that it is over."),
    "runs": Entry("alert_bridge.cli.runs", "List the latest runs: how they ended, and the worst that was logged."),
    "trace": Entry(
        "alert_bridge.cli.trace", "Go from an alert to the failing line: its span tree and the log around it."
    ),
    "logs": Entry("alert_bridge.cli.logs", "Show the log of a run, whole, around a record, or what contains a text."),
    "ship": Entry("alert_bridge.cli.ship", "Send what a machine without network left behind."),
    "attach": Entry("alert_bridge.cli.attach", "Reach Python children that start with a cleared environment."),
    "explain": Entry("alert_bridge.cli.explain", "Show why two records are, or are not, the same problem."),
}


class LazyGroup(click.Group):
    """A group whose commands are modules with a `command` in them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pipeline-alerts")
def root() -> None:
    """The right person knows within a second, once, with the reason and one link to the failing line."""
