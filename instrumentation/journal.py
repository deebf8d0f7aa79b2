"""The journal: one JSON line per record in a per-process file, written before anything else. The write-ahead log.

A run's folder, mode 0700, is `$PIPELINE_ALERTS_JOURNAL_DIR/<run id>/`:

    run.json               facts of the run that every record's resource carries; no secrets
    <pid>-<token>.jsonl    one journal per process, mode 0600, O_APPEND, one `os.write` per line
    offsets.json           how far the sender got in each journal (its acknowledged byte offset)

The first line of a journal says who writes; every other line is one record, span or metric point. Keys are short
because every line pays for them; absent keys mean "none".

    {"k":"proc","v":1,"u":token,"p":pid,"pp":parent pid,"x":executable,"a":[argv …],"py":"3.11.7","t":ns,
     "tp":traceparent and "st":stage that it was started with}
    {"k":"log","u":counter,"t":ns,"n":levelno,"l":levelname,"g":logger,"m":message,
     "mt":its template, where it had arguments,"a":[arguments] of a malformed call only, of which "m" is the template,
     "f":file,"o":function,"i":line,"h":thread name,"p":pid (only if it is not the file's),
     "e":{"t":qualified type,"m":message,"s":stack trace with its full chain},
     "tr":trace id,"sp":span id,"st":stage,"ev":event name,"d":{extras}}
    {"k":"span","u":counter,"tr":…,"sp":…,"pa":parent span id,"na":name,"ki":kind,"t":start ns,"te":end ns,
     "sc":status 0|1|2,"sm":status message,"d":{attributes},"ve":[[ns,name,{attributes}] …]}
    {"k":"metric","u":counter,"t":ns,"na":name,"un":unit,"mk":"gauge"|"sum","va":value,"d":{attributes}}

A record's `log.record.uid` is `<token>-<counter>`. A message is formatted where it lives; only a call whose arguments
do not fit (`logging.error("%d", "x")`) keeps template and arguments, and the sender says so instead of failing. The
sender formats whatever has "a", which is how an older child wrote arguments that are a str, int, float, bool or None.

A line that does not parse is the torn end of a write that found the disk full; its record is elsewhere or counted. On a
full disk, lines of ERROR and above go to a file whose blocks are already taken:

    <pid>-<token>.reserve  the same lines, after a first one {"k":"lost","c":records lost since last said}; NULs follow

It is there before the first record, is read like the journal, and is removed by a process that ends orderly without
having used it. A line with "p" was brought by a queue: if that process is of the same run, its own journal has the
record too, with the same "t", "g", "i" and "h".
"""

from __future__ import annotations

import sys

from instrumentation.child._pipeline_alerts_child.journal import Journal
from instrumentation.child._pipeline_alerts_child.names import JOURNAL_SUFFIX, RESERVE_SUFFIX

__all__ = ["JOURNAL_SUFFIX", "RESERVE_SUFFIX", "Journal", "current"]

_BOOT = "_pipeline_alerts_child.boot"  # where `run` put it on the path, which is not where this package imports it from


def current() -> Journal | None:
    """The journal that `run` opened in this process, if it runs under `run`: records reach it without us."""
    boot = sys.modules.get(_BOOT)
    journal: Journal | None = boot.journal() if boot is not None else None
    return journal
