"""The user's own redaction sees every text before it leaves, and a broken one never stops the telling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from instrumentation.redaction import MARK
from instrumentation.sender.own_redaction import OwnRedaction, load
from tests.servers.receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
TIMEOUT_S = 60
RULES = "def hide(text):\n    return text.replace('Kim Larsen', 'somebody')\n"
LOGS = "import logging; logging.warning('%s Larsen of %r', 'Kim', 'x', extra={'who': ['Kim Larsen']})\n"
CONFIGURED = "import instrumentation, rules; instrumentation.configure(redact=rules.hide)\n" + LOGS


def sent_by(program: str, before: tuple[str, ...], folder: Path, **more: str) -> list[str]:
    (folder / "rules.py").write_text(RULES)
    (folder / "program.py").write_text(program)
    with Receiver() as receiver:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_ALERTS_")}
        ours = {"PIPELINE_ALERTS_ENDPOINT": receiver.url, "PIPELINE_ALERTS_LINGER_SECONDS": "0"}
        environ = {**clean, **ours, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": f"{ROOT}:{folder}", **more}
        subprocess.run(
            [*before, sys.executable, "program.py"],
            env=environ,
            cwd=folder,
            timeout=TIMEOUT_S,
            check=True,
            capture_output=True,
        )
        return [str(record) for record in receiver.records()]


@pytest.mark.parametrize(
    ("program", "before", "more"),
    [(LOGS, RUN, {"PIPELINE_ALERTS_REDACT": "rules:hide"}), (CONFIGURED, (), {}), (CONFIGURED, RUN, {})],
    ids=["run", "configure", "configure under run"],
)
def test_a_name_across_template_and_argument_is_hidden_in_every_place(
    program: str, before: tuple[str, ...], more: dict[str, str], tmp_path: Path
) -> None:
    sent = sent_by(program, before, tmp_path, **more)

    assert [text for text in sent if "somebody of" in text]
    assert not [text for text in sent if "Kim" in text]


def test_one_that_cannot_be_loaded_is_said_and_the_run_is_told(tmp_path: Path) -> None:
    sent = sent_by(LOGS, RUN, tmp_path, PIPELINE_ALERTS_REDACT="rules:nothing")

    assert [text for text in sent if "PIPELINE_ALERTS_REDACT=rules:nothing cannot be used" in text]


def test_a_text_that_defeats_it_does_not_leave() -> None:
    def fails(text: str) -> str:
        raise KeyError(text)

    assert OwnRedaction(fails)({"k": "log", "m": "a %s", "a": ["b"], "n": 20}) == {
        "k": "log", "m": MARK, "mt": MARK, "n": 20,
    }  # fmt: skip


def test_what_a_redaction_makes_somebody_log_is_hidden_and_does_not_begin_again() -> None:
    inner = '{"k":"log","u":2,"t":1,"n":20,"m":"looked at Kim"}'

    def logs(text: str) -> str:
        said.append(own.rewrite(inner))
        return text

    said: list[str] = []
    own = OwnRedaction(logs)

    assert json.loads(own.rewrite('{"k":"log","u":1,"t":1,"n":20,"m":"a"}'))["m"] == "a"
    assert json.loads(said[0])["m"] == MARK


@pytest.mark.parametrize("path", ["rules", "os:nothing", "no.such.module:x", "os:sep"])
def test_what_is_no_function_is_refused_in_words(path: str) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        load(path)
