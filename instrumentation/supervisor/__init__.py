"""The supervising parent behind `pipeline-alerts run`: it changes nothing for the program, ships, and tells the end.

arguments   the plain form of the command line                  pure
limits      what a run may do before it is told of or stopped   pure
command     the whole of it, in order
outer       whether this is inside of another `run`
inner       a time limit within another run
launch      from a command line to a started program
spawning    starting the program with nothing of ours in its way; signals to and from it
bystander   whether a signal was for everybody
output      the last lines of stdout and stderr
attachment  how a run is found from a cleared environment
supervision one run, followed from its folder to its end
listening   what the records tell while they pass
processes   what the kernel says of running processes
descendants who else runs, who dies how, who was not reached
passing     whose end a parent only passes on
memory      out-of-memory kills and peaks
verdicts    which deaths were for memory
ending      what a wait status means                            pure
silence     when a program has been silent for too long         pure
stacks      where a silent program hangs
stopping    what runs longer than allowed
leftovers   what goes on though nobody waits for it
telling     what is told of all this, as records
"""
