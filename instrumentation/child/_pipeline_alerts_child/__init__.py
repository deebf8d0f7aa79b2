"""What `pipeline-alerts run` puts into every Python child: it appends the program's records to a journal, no more.

Standard library only, Python 3.9 or newer, whatever the parent's version is. Nothing in this package raises into,
blocks, or writes to the user's program. Its name cannot shadow a module of theirs.

Each module that is loaded costs every child some tenths of a millisecond. So what they all load names types as text,
and asks neither `typing` nor `__future__`.
"""
