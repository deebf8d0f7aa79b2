"""The supervising parent behind `pipeline-alerts run`: it changes nothing for the program, ships, and tells the end.

command     the whole of it, in order
outer       whether this is inside of another `run`
spawning    starting the program with nothing of ours in its way; signals to and from it
bystander   whether a signal was for everybody
ending      what a wait status means                            pure
descendants who else runs, who dies how, who was not reached
listening   what the records tell while they pass
output      the last lines of stdout and stderr
memory      out-of-memory kills and peaks
verdicts    which deaths were for memory
stacks      where a silent program hangs
"""
