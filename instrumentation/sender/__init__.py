"""The sender: follows the journals of a run, formats, redacts, ships over OTLP/HTTP, and remembers how far it got.

entry      a record, span or metric point, ready to go          pure
encoding   values → OTLP/protobuf bytes                         pure
sources    a process, and what its lines have in common         pure
records    a record's line → an entry                           pure
translation  a span's or metric point's line → an entry         pure
own_redaction  the user's own, before ours
journals   files of a run's folder and offsets in them
relays     records that a queue brought to another process
reading    journals → entries → the lanes' queues
parcels    entries on their way, and what waits for a lane      pure
transport  one HTTP connection, and what an answer means
lanes      a thread per urgency that posts one batch at a time
logfile    the run's structured log for people and jq
folder     a run's folder and its lock
opening    where a run's folder finds room
aside      what no receiver takes
linger     goes on shipping when the command has ended
shedding   what goes when the disk cap is reached
tidying    clears up beside the work
bell       what wakes the loop
sender     the loop that turns the above
"""
