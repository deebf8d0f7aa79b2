"""The user's own redaction sees every text before it leaves, and a broken one never stops the telling."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from instrumentation.redaction import MARK
from instrumentation.sender.own_redaction import OwnRedaction, load
from tests.servers.receiver import Receiver
from tests.servers.shipping import environ_towards, wait_for_record, wait_until_shipped

ROOT = Path(__file__).resolve().parent.parent.parent
RUN = (sys.executable, "-m", "alert_bridge.cli", "run", "--pipeline", "p", "--")
TIMEOUT_S = 120
RULES = "def hide(text):\n    return text.replace('Kim Larsen', 'somebody')\n"
LOGS = "import logging; logging.warning('%s Larsen of %r', 'Kim', 'x', extra={'who': ['Kim Larsen']})\n"
CONFIGURED = "import instrumentation, rules; instrumentation.configure(redact=rules.hide)\n" + LOGS
PLAIN = "Kim Larsen of"
# Nobody could go on shipping afterwards: a redaction cannot be loaded, or only the program has it.
UNTIL_TOLD = "import os, time\nwhile not os.path.exists('told'): time.sleep(0.01)\n"


def sent_by(program: str, before: tuple[str, ...], said: str, folder: Path, **more: str) -> list[str]:
    """The records of a program that ends when one has come that contains what was ``said``."""
    (folder / "rules.py").write_text(RULES)
    (folder / "program.py").write_text(program + UNTIL_TOLD)
    with Receiver() as receiver:
        environ = environ_towards(receiver, folder / "state", PYTHONPATH=f"{ROOT}:{folder}", **more)
        process = subprocess.Popen(
            [*before, sys.executable, "program.py"], env=environ, cwd=folder, stderr=subprocess.DEVNULL
        )
        wait_for_record(receiver, lambda record: said in str(record))
        (folder / "told").touch()
        assert process.wait(TIMEOUT_S) == 0
        if before and said != PLAIN:
            wait_until_shipped(environ)
        return [str(record) for record in receiver.records()]


@pytest.mark.parametrize(
    ("program", "before", "more"),
    [(LOGS, RUN, {"PIPELINE_ALERTS_REDACT": "rules:hide"}), (CONFIGURED, (), {}), (CONFIGURED, RUN, {})],
    ids=["run", "configure", "configure under run"],
)
def test_a_name_across_template_and_argument_is_hidden_in_every_place(
    program: str, before: tuple[str, ...], more: dict[str, str], tmp_path: Path
) -> None:
    sent = sent_by(program, before, "somebody of", tmp_path, **more)

    assert not [text for text in sent if "Kim" in text]


def test_what_a_killed_program_leaves_is_hidden_before_anybody_else_ships_it(tmp_path: Path) -> None:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "program.py").write_text(CONFIGURED + "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with Receiver() as receiver:
        receiver.go_away()
        environ = environ_towards(receiver, tmp_path / "state", PYTHONPATH=f"{ROOT}:{tmp_path}")
        subprocess.run([sys.executable, "program.py"], env=environ, cwd=tmp_path, timeout=TIMEOUT_S, check=False)
        left = "".join(path.read_text() for path in (tmp_path / "state").rglob("*.jsonl"))
        receiver.come_back()
        wait_for_record(receiver, lambda record: "somebody of" in str(record))
        wait_until_shipped(environ)
        sent = [str(record) for record in receiver.records()]

    assert "somebody of" in left
    assert not [text for text in [left, *sent] if "Kim" in text]


def test_one_that_cannot_be_loaded_is_said_and_the_run_is_told(tmp_path: Path) -> None:
    trouble = "PIPELINE_ALERTS_REDACT=rules:nothing cannot be used"

    sent = sent_by(LOGS, RUN, PLAIN, tmp_path, PIPELINE_ALERTS_REDACT="rules:nothing")

    assert len([text for text in sent if trouble in text]) == 1


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
