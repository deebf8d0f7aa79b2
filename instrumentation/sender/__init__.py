"""The sender: follows the journals of a run, formats, redacts, ships over OTLP/HTTP, and remembers how far it got.

encoding   values → OTLP/protobuf bytes                         pure
translation  a journal's line → a finished entry                pure
journals   files of a run's folder and offsets in them
transport  one HTTP connection, and what an answer means
lanes      a thread per urgency that posts one batch at a time
logfile    the run's structured log for people and jq
folder     a run's folder and its lock
aside      what no receiver takes
linger     goes on shipping when the command has ended
shedding   what goes when the disk cap is reached
sender     the loop that turns the above
"""
