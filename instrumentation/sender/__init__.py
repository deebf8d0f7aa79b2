"""The sender: follows the journals of a run, formats, redacts, ships over OTLP/HTTP, and remembers how far it got.

encoding   values → OTLP/protobuf bytes                         pure
translation  a journal's line → a finished entry                pure
journals   files of a run's folder and offsets in them
transport  one HTTP connection, and what an answer means
lanes      a thread per urgency that posts one batch at a time
batches    which entries go next, and what was acknowledged     no I/O
logfile    the run's structured log for people and jq
shedding   what goes when the disk cap is reached
sender     the loop that turns the above
"""
