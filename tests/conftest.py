"""What holds for the whole session: programs that tests start meet signals as they would from a terminal."""

import signal

# `make test &` in a script ignores SIGINT, and every program of a test would inherit that; ours would be blamed.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
