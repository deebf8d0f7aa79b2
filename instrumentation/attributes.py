"""Every telemetry name that we emit or read. Constants only; nothing else in the project spells one out.

Semantic conventions v1.44 wherever one exists; our own prefix ``pipeline.`` elsewhere.
"""

from __future__ import annotations

from typing import Final

# Resource: who speaks. At most 12 of these, because exporters hash the resource per record.
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"
PIPELINE_NAME: Final = "cicd.pipeline.name"
RUN_ID: Final = "cicd.pipeline.run.id"
VCS_REVISION: Final = "vcs.ref.head.revision"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"

# Log records and spans: where, in which step.
RECORD_UID: Final = "log.record.uid"
STAGE: Final = "cicd.pipeline.task.name"
STAGE_RUN_ID: Final = "cicd.pipeline.task.run.id"
STAGE_RESULT: Final = "cicd.pipeline.task.run.result"
RUN_RESULT: Final = "cicd.pipeline.result"
CODE_FILE: Final = "code.file.path"
CODE_FUNCTION: Final = "code.function.name"
CODE_LINE: Final = "code.line.number"
THREAD_NAME: Final = "thread.name"
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"

# Our own, where no convention exists.
TEMPLATE: Final = "pipeline.log.template"
TEMPLATE_ARGS: Final = "pipeline.log.arguments"
MODEL_NAME: Final = "pipeline.model.name"
AUDIENCE: Final = "pipeline.audience"
FINGERPRINT: Final = "pipeline.fingerprint"
UPSTREAM: Final = "pipeline.stage.upstream"
PARENT_SPAN: Final = "pipeline.stage.parent_span.id"  # on `pipeline.stage.start`, which is told long before the span
METRIC_STEP: Final = "pipeline.metric.step"
TEST_ALERT: Final = "pipeline.test"
TEST_CHANNEL: Final = "pipeline.test.channel"
WANDB_RUN_URL: Final = "pipeline.wandb.run.url"
WANDB_MIRRORED: Final = "pipeline.wandb.mirrored"  # true on a point that the program's own W&B run has already
WANDB_ALERT_LEVEL: Final = "pipeline.wandb.alert.level"  # on the record of a call of `Run.alert`: INFO, WARN, ERROR
CODE_STACKTRACE: Final = "code.stacktrace"  # where a call was made, on request (`stack_info=True`)
LOST_RECORDS: Final = "pipeline.records.lost"  # records that a process could not keep: no room for its journal
DISABLED_LOGGERS: Final = "pipeline.loggers.disabled"  # names of loggers that a logging configuration switched off
ENCODING_ERROR: Final = "pipeline.record.encoding_error"  # what a record did to the journal's encoder
UNCAUGHT: Final = "pipeline.uncaught"  # true on the record of an exception that ended its process, thread or task
OWN_TROUBLE: Final = "pipeline.alerts.trouble"  # on records of the bridge about itself: what kind of trouble
WATCHED: Final = "pipeline.alerts.watch"  # on records of the bridge about what did not happen: late, silent …
DIGEST: Final = "pipeline.alerts.digest"  # on a digest of the bridge: run, quiet
DIGEST_CONTENT: Final = "pipeline.alerts.digest.content"

# Process endings, on `pipeline.run.end` and on the supervisor's death record.
EXIT_CODE: Final = "process.exit.code"
EXIT_SIGNAL: Final = "pipeline.process.signal"
OOM_KILLED: Final = "pipeline.process.oom_killed"
OOM_VERDICT: Final = "pipeline.process.oom_verdict"  # after a SIGKILL: proven, probable, excluded, unknown
PEAK_MEMORY: Final = "pipeline.process.peak_memory"  # bytes
DURATION: Final = "pipeline.duration"  # seconds
RUN_RECORDS: Final = "pipeline.run.records"  # that its processes had written when it ended, at the least
COMMAND: Final = "process.command_line"
STDOUT_TAIL: Final = "pipeline.process.stdout_tail"
STDERR_TAIL: Final = "pipeline.process.stderr_tail"
PASSED_ON: Final = "pipeline.process.passed_on"  # pids of the processes whose end the program's is, the last first
LAST_RECORDS: Final = "pipeline.process.last_records"  # of the process that died, a line each
OUTPUT_NOTE: Final = "pipeline.process.output_note"  # why there is no tail, where there is none
UNCAUGHT_TYPES: Final = "pipeline.process.uncaught"  # types of the exceptions that ended processes of the run
LOG_PATH: Final = "pipeline.log.path"  # of the run's structured log, on the machine that it ran on
STACK_DUMP: Final = "pipeline.process.stacks"  # where a silent program hangs
SILENT_FOR: Final = "pipeline.run.silent_for"  # seconds

# What a run was made of, on `pipeline.run.manifest`.
RUNTIME_VERSION: Final = "process.runtime.version"
OS_DESCRIPTION: Final = "os.description"
WORKING_DIRECTORY: Final = "process.working_directory"
VCS_REF_NAME: Final = "vcs.ref.head.name"
VCS_REPOSITORY_URL: Final = "vcs.repository.url.full"
VCS_DIRTY: Final = "pipeline.vcs.dirty"
PACKAGES: Final = "pipeline.packages"  # name → version
INPUT_DIGESTS: Final = "pipeline.inputs"  # file named on the command line → first 16 hex digits of its SHA-256
SCHEDULER_PREFIX: Final = "pipeline.scheduler."

# Where senders without a field for it put an event's name, and what the bridge notes on a record that it had to cut.
EVENT_NAME: Final = "event.name"
OTEL_EVENT_NAME: Final = "otel.event.name"
DROPPED_ATTRIBUTES: Final = "pipeline.dropped.attributes"
DROPPED_EVENTS: Final = "pipeline.dropped.events"

# Lifecycle events: log records with an EventName, INFO unless they fail.
EVENT_PREFIX: Final = "pipeline."
EVENT_RUN_START: Final = "pipeline.run.start"
EVENT_RUN_END: Final = "pipeline.run.end"
EVENT_RUN_HEARTBEAT: Final = "pipeline.run.heartbeat"
EVENT_RUN_SILENT: Final = "pipeline.run.silent"
EVENT_RUN_LATE: Final = "pipeline.run.late"  # the bridge's own: it should have started and did not
EVENT_EXPECTATION_MISSED: Final = "pipeline.expectation.missed"  # the same: what must happen did not
EVENT_DIGEST: Final = "pipeline.alerts.digest"
EVENT_RUN_MANIFEST: Final = "pipeline.run.manifest"
EVENT_STAGE_START: Final = "pipeline.stage.start"
EVENT_STAGE_END: Final = "pipeline.stage.end"
EVENT_PROCESS_DIED: Final = "pipeline.process.died"
EVENT_PROCESS_KILL: Final = "pipeline.process.kill"  # the program kills a process that it started; INFO
EVENT_WANDB_ALERT: Final = "pipeline.wandb.alert"  # the program called `Run.alert`; INFO, whatever its level there

# Results of a run or a stage (`cicd.pipeline.result`, `cicd.pipeline.task.run.result`).
RESULT_SUCCESS: Final = "success"
RESULT_FAILURE: Final = "failure"
RESULT_ERROR: Final = "error"
RESULT_TIMEOUT: Final = "timeout"
RESULT_CANCELLATION: Final = "cancellation"
RESULT_SKIP: Final = "skip"

# OpenTelemetry severity numbers that Python's levels map to.
SEVERITY_OF_LEVEL: Final = ((50, 21), (40, 17), (30, 13), (20, 9), (10, 5), (0, 1))  # (levelno floor, severity number)

# Metrics.
STAGE_DURATION: Final = "cicd.pipeline.task.duration"  # s
RUN_DURATION: Final = "cicd.pipeline.run.duration"  # s
PROCESS_PEAK_MEMORY: Final = "process.memory.peak"  # By
PROCESS_CPU_TIME: Final = "process.cpu.time"  # s
