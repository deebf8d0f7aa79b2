"""The supervising parent behind `pipeline-alerts run`: it changes nothing for the program, ships, and tells the end.

command     the whole of it, in order
inner       a time limit within another run
outer       whether this is inside of another `run`
spawning    starting the program with nothing of ours in its way; signals to and from it
bystander   whether a signal was for everybody
ending      what a wait status means                            pure
descendants who else runs, who dies how, who was not reached
silence     when a program has been silent for too long             pure
stopping    what runs longer than allowed
leftovers   what goes on though nobody waits for it
listening   what the records tell while they pass
output      the last lines of stdout and stderr
memory      out-of-memory kills and peaks
verdicts    which deaths were for memory
stacks      where a silent program hangs
"""
