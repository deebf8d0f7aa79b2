"""What the supervising parent and its children agree on: names of variables and of files. Constants only."""

# The environment of a child.
ENV_RUN_FOLDER = "PIPELINE_ALERTS_JOURNAL_DIR_RUN"  # the run's folder: journals go there; without it nothing happens
ENV_POKE = "PIPELINE_ALERTS_POKE"  # path of a UNIX datagram socket, woken for every record of ERROR or above
ENV_RUN_ID = "PIPELINE_ALERTS_RUN_ID"
ENV_PIPELINE = "PIPELINE_ALERTS_PIPELINE"
ENV_STAGE = "PIPELINE_ALERTS_STAGE"  # the step that started this process
ENV_LEVEL = "PIPELINE_ALERTS_LEVEL"  # lowest level to keep, by name or number; without it all that logging accepted
ENV_STAGES = "PIPELINE_ALERTS_STAGES"  # functions that become stages: `module:function`, separated by commas
ENV_STACKS = "PIPELINE_ALERTS_STACKS"  # file that gets a process's stacks when the signal below asks for them
ENV_TRACEPARENT = "TRACEPARENT"
CONTRACT = (
    *(ENV_RUN_FOLDER, ENV_POKE, ENV_RUN_ID, ENV_PIPELINE, ENV_STAGE, ENV_LEVEL, ENV_STAGES),
    *(ENV_STACKS, ENV_TRACEPARENT),
)
PLACE = (ENV_TRACEPARENT, ENV_STAGE)  # where in the run a process is when it starts

STACKS_SIGNAL = 23  # SIGURG on Linux: it ends nobody, and who takes it looks once in vain (a test compares)

# Files of a run's folder.
JOURNAL_SUFFIX = ".jsonl"
RESERVE_SUFFIX = ".reserve"
STACKS_FILE = "stacks.txt"  # every process of the run appends to it when asked

# Levels, as the standard library numbers them; `logging` itself must not be imported before the program does.
INFO = 20
WARNING = 30
ERROR = 40
CRITICAL = 50

# Attributes that only the child side writes; `instrumentation.attributes` has the same (a test compares).
UNCAUGHT = "pipeline.uncaught"
LOST_RECORDS = "pipeline.records.lost"
DISABLED_LOGGERS = "pipeline.loggers.disabled"
CODE_STACKTRACE = "code.stacktrace"
ENCODING_ERROR = "pipeline.record.encoding_error"  # the record defeated our encoder: type of its error
OTEL_EVENT_NAME = "otel.event.name"  # the `extra` that stock OpenTelemetry turns into an event's name
WANDB_RUN_URL = "pipeline.wandb.run.url"
WANDB_ALERT_LEVEL = "pipeline.wandb.alert.level"
STAGE = "cicd.pipeline.task.name"
STAGE_RUN_ID = "cicd.pipeline.task.run.id"
STAGE_RESULT = "cicd.pipeline.task.run.result"
STAGE_DURATION = "cicd.pipeline.task.duration"
DURATION = "pipeline.duration"
PARENT_SPAN = "pipeline.stage.parent_span.id"
EVENT_STAGE_START = "pipeline.stage.start"
EVENT_STAGE_END = "pipeline.stage.end"
EVENT_WANDB_ALERT = "pipeline.wandb.alert"
EVENT_PROCESS_KILL = "pipeline.process.kill"
PROCESS_PID = "process.pid"

# Where Prefect makes a span for each run of a flow or a task, and where it runs them.
PREFECT_TELEMETRY, PREFECT_FLOWS = "prefect.telemetry.run_telemetry", "prefect.flow_engine"
PREFECT_TASKS = "prefect.task_engine"
PREFECT_MODULES = (PREFECT_TELEMETRY, PREFECT_FLOWS, PREFECT_TASKS)

# Where tasks are handed to processes.
POOL_MODULES = (
    "concurrent.futures.process",
    "multiprocessing.pool",
    "joblib.externals.loky.process_executor",
    "loky.process_executor",
)

# The logger of records that we write ourselves.
OWN_LOGGER = "pipeline_alerts"
