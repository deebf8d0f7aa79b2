"""The whole way as its users go it: programs of any making through a real Collector and bridge to Slack and email."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from alert_bridge.store.telemetry import Telemetry
from tests.servers.bridge import wait_for
from tests.servers.otlp_client import logs_request, post, record
from tests.servers.shipping import wait_until_shipped
from tests.servers.telemetrygen import BUILD_WITHIN_SECONDS, telemetrygen
from tests.servers.whole_way import RUN, WholeWay

pytestmark = pytest.mark.collector

WITHIN_S = 60.0
CLIENT_WITHIN_S = 120.0
STOCK = (
    str(Path(sys.executable).with_name("opentelemetry-instrument")),
    *("--traces_exporter", "otlp", "--metrics_exporter", "none", "--logs_exporter", "otlp"),
)


@pytest.fixture(scope="module")
def way(tmp_path_factory) -> Iterator[WholeWay]:
    with WholeWay(tmp_path_factory.mktemp("way")) as started:
        yield started


def is_stored(way: WholeWay, text: str) -> bool:
    """Whether the lane that takes everything has brought it: from then on it has been judged, too."""
    telemetry = Telemetry(way.bridge.state)
    try:
        return bool(telemetry.search(text))
    finally:
        telemetry.close()


def nothing_told(way: WholeWay, text: str) -> bool:
    return not way.posts(text) and not way.mails(text)


def test_an_error_of_a_plain_script_is_told_once_by_slack_and_mail_and_its_infos_never(way):
    ended = way.run(
        "import logging\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "logging.info('fetched the calm harbour')\n"
        "logging.error('the salt marsh could not be read')\n"
        "print('done')\n"
    )

    assert (ended.returncode, ended.stdout) == (0, "done\n")
    assert ended.stderr == "fetched the calm harbour\nthe salt marsh could not be read\n"
    wait_for(lambda: way.posts("the salt marsh") and way.mails("the salt marsh"), WITHIN_S)
    wait_for(lambda: is_stored(way, "calm harbour") and is_stored(way, "salt marsh"), WITHIN_S)
    assert [len(way.posts("the salt marsh")), len(way.mails("the salt marsh"))] == [1, 1]
    assert not [message for message in way.posts("calm harbour") if "salt marsh" not in str(message)]


def test_a_shell_script_with_a_python_of_a_bare_environment_is_told_of(way, tmp_path):
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    site = next((tmp_path / "bare" / "lib").glob("python3*/site-packages"))
    (site / "sitecustomize.py").write_text("print('own sitecustomize')\n", encoding="utf-8")
    script = tmp_path / "run.sh"
    script.write_text(
        f'#!/bin/sh\n"{tmp_path}/bare/bin/python" "$2"\n"{tmp_path}/bare/bin/python" -c "import os; os.abort()"\n',
        encoding="utf-8",
    )
    script.chmod(0o700)
    program = (
        "import logging\n"
        "def read_kelp():\n"
        "    raise OSError('the kelp bed is closed')\n"
        "try:\n"
        "    read_kelp()\n"
        "except OSError:\n"
        "    logging.exception('no kelp today')\n"
        "raise ValueError('the tide table is empty')\n"
    )

    plain = way.run(program, under=[str(script)])
    ended = way.run(program, under=(*RUN, str(script)))

    # What the C library and the shell say of the abort has a process number in it.
    assert (ended.returncode, ended.stdout) == (plain.returncode, plain.stdout)
    assert ended.stdout == "own sitecustomize\n" * 2
    assert ended.stderr.startswith("ERROR:root:no kelp today\nTraceback")
    for text in ("OSError: the kelp bed is closed", "ValueError: the tide table is empty", "SIGABRT"):
        wait_for(lambda text=text: way.posts(text), WITHIN_S, lambda: str([one["text"] for one in way.slack.messages]))
    (link,) = re.findall(r"<([^|>]+)\|Incident>", way.posts("kelp bed is closed")[0]["text"])
    assert "in read_kelp" in html.unescape(httpx.get(link).text)


@pytest.mark.parametrize(
    ("number", "text", "is_told"),
    [(9, "", False), (0, "INFO", False), (0, "", False), (0, "nonsense", False), (0, "ERROR", True), (17, "", True)],
)
def test_a_severity_is_understood_however_it_is_said(way, number, text, is_told):
    body = f"the {'loud' if is_told else 'quiet'} heron at {'n' * number}{text or 'nothing'}"

    answer = post(f"{way.collector.http_endpoint}/v1/logs", logs_request(record(body, number, severity_text=text)))

    assert answer.status == 200
    wait_for(lambda: is_stored(way, body), WITHIN_S)
    if is_told:
        wait_for(lambda: way.posts(body) and way.mails(body), WITHIN_S)
    else:
        assert nothing_told(way, body)


def test_a_script_under_stock_opentelemetry_instrument_is_told_of(way):
    ended = way.run(
        "import logging\n"
        "logging.getLogger().setLevel(logging.INFO)\n"
        "logging.info('stock says that all is well')\n"
        "try:\n"
        "    {}['the amber key']\n"
        "except KeyError:\n"
        "    logging.getLogger('stock').exception('stock lost the amber key')\n",
        under=STOCK,
        OTEL_EXPORTER_OTLP_ENDPOINT=way.collector.http_endpoint,
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED="true",
        OTEL_SERVICE_NAME="stock_pipeline",
    )

    assert ended.returncode == 0, ended.stderr
    wait_for(lambda: way.posts("the amber key") and way.mails("the amber key"), WITHIN_S)
    assert len(way.posts("the amber key")) == 1
    assert "stock_pipeline" in str(way.posts("the amber key"))
    assert "stock lost the amber key" in way.mails("the amber key")[0].part("plain")
    wait_for(lambda: is_stored(way, "stock says that all is well"), WITHIN_S)
    assert nothing_told(way, "all is well")


@pytest.mark.timeout(BUILD_WITHIN_SECONDS)
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_stock_client_in_go_is_told_of(way, protocol):
    address = way.collector.grpc_endpoint if protocol == "grpc" else way.collector.environ["OTELCOL_HTTP_ADDR"]
    where = ["--otlp-http"] if protocol == "http" else []
    for severity, text, body in (("9", "Info", f"go is fine over {protocol}"), ("17", "Error", f"go broke {protocol}")):
        subprocess.run(
            [telemetrygen(), "logs", *where, "--otlp-insecure", "--otlp-endpoint", address, "--logs", "3",
             "--workers", "1", "--severity-number", severity, "--severity-text", text, "--body", body],
            check=True, capture_output=True, timeout=CLIENT_WITHIN_S,
        )  # fmt: skip

    wait_for(lambda: way.posts(f"go broke {protocol}") and way.mails(f"go broke {protocol}"), WITHIN_S)
    wait_for(lambda: is_stored(way, f"go is fine over {protocol}"), WITHIN_S)
    assert nothing_told(way, f"go is fine over {protocol}")


SECRETS = {
    "password": "hunter2-correct-horse",
    "slack": "xoxb-" + "349512345678-2345678901234-Zyx9876543210abcdefGHIJK",
    "aws": "AKIA" + "IOSFODNN7EXAMPLX",
    "github": "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "jwt": "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiJwaXBlbGluZSJ9.dBjftJeZ4CVPmB92K27uhbUJU1p1r",
    "url": "s3cr3tInTheAddress",
    "key": "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAAB",
}
LEAKY = """
import logging, os, sys
secret = SECRETS
logging.basicConfig(level=logging.INFO, stream=open(os.devnull, "w"))
log = logging.getLogger("leaky")
log.info("connecting with password=%s", secret["password"])
log.error(f"the lagoon refused postgresql://views:{secret['url']}@db.internal/prod")
headers = {"Authorization": "Bearer " + secret["jwt"]}
log.error("the meadow refused us", extra={"api_key": secret["github"], "headers": headers})
kind = "OPENSSH PRIVATE KEY"
log.error(f"the thicket refused -----BEGIN {kind}-----\\n{secret['key']}\\n-----END {kind}-----")
try:
    raise PermissionError(f"the estuary refused aws_access_key_id={secret['aws']} token={secret['slack']}")
except PermissionError:
    log.exception("the estuary refused")
print("password=" + secret["password"], file=sys.stderr)
raise SystemExit("the run ends with SLACK_BOT_TOKEN=" + secret["slack"])
""".replace("SECRETS", repr(SECRETS))


def pages_of(way: WholeWay) -> dict[str, str]:
    """Every page that a reader can reach from the first one."""
    seen: dict[str, str] = {}
    wanted = ["/", "/inbox", "/metrics", "/readyz"]
    with httpx.Client(base_url=way.bridge.url) as client:
        while wanted:
            path = wanted.pop()
            if path in seen:
                continue
            assert len(seen) < 500, "the pages never end"
            answer = client.get(path, headers={"Accept": "text/html"})
            seen[path] = answer.text
            links = re.findall(r'href="(/[^"#]*)', answer.text)
            wanted += [html.unescape(link) for link in links if link != "/events"]
    return seen


def test_secrets_in_records_are_in_no_message_page_file_or_log_of_ours(tmp_path):
    with WholeWay(tmp_path) as way:
        ended = way.run(LEAKY)
        for name in ("lagoon", "meadow", "thicket", "estuary"):
            wait_for(lambda name=name: way.posts(f"the {name}") and way.mails(f"the {name}"), WITHIN_S)
        wait_until_shipped(way.environ)
        wait_for(lambda: is_stored(way, "connecting with"), WITHIN_S)
        pages = pages_of(way)
        told = [str(call.payload) for call in way.slack.calls]
        mailed = [mail.part(kind) for mail in way.smtp.mails for kind in ("plain", "html")]

    assert ended.returncode == 1
    assert f"SLACK_BOT_TOKEN={SECRETS['slack']}" in ended.stderr, "what the program prints is its own"
    assert any("/incidents/" in path for path in pages)
    (tmp_path / "program.py").unlink()
    kept = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert any(path.endswith("control.db") for path in kept)
    assert any(path.endswith("telemetry.db") for path in kept)
    for name, value in SECRETS.items():
        assert not [text for text in told if value in text], f"{name} in Slack"
        assert not [text for text in mailed if value in text], f"{name} in a mail"
        assert not [path for path, text in pages.items() if value in text], f"{name} in a page"
        assert not [path for path, content in kept.items() if value.encode() in content], f"{name} in a file"


SLOWLY = """
import logging, sys
for line in sys.stdin:
    logging.error(f"{line.strip()} stuck")
    print(line.strip(), flush=True)
"""
# Two words a text: of longer ones that differ in one word, the bridge would learn that they are one problem.
GATES = ["amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "knoll", "larch"]


@pytest.mark.slow
def test_a_kill_of_the_collector_and_of_the_bridge_in_the_middle_of_a_run_loses_nothing(tmp_path):
    with WholeWay(tmp_path) as way, way.start(SLOWLY) as program:
        for number, gate in enumerate(GATES):
            program.stdin.write(f"{gate}\n")
            program.stdin.flush()
            assert program.stdout.readline() == f"{gate}\n"
            if number == 2:
                way.collector.kill()
            if number == 5:
                way.collector.start()
                way.bridge.kill()
            if number == 8:
                way.bridge.start()
                way.collector.kill()
                way.collector.start()
        program.stdin.close()
        assert program.wait(WITHIN_S) == 0

        for gate in GATES:
            wait_for(lambda gate=gate: way.posts(f"{gate} stuck") and way.mails(f"{gate} stuck"), WITHIN_S,
                     lambda gate=gate: f"told of {gate}")  # fmt: skip
        reader = way.bridge.reader()
        wait_for(lambda: all(book.balance == 0 and book.queued == 0 for book in reader.books()), WITHIN_S)
        posts = [len(way.posts(f"{gate} stuck")) for gate in GATES]
        mails = [len(way.mails(f"{gate} stuck")) for gate in GATES]
        assert max(posts) <= 2
        assert sum(posts) <= len(GATES) + 1, "one kill of the bridge may double one post"
        assert sum(mails) <= len(GATES) + 1, "one kill of the bridge may double one mail"
