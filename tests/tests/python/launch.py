"""Runs a program as `python NAME.py ARGUMENT..` does, apart from the end: no finalization follows the exit functions.

CPython 3.11 ends a thread that wants to go on in Python meanwhile by pthread_exit. In a thread of the SDK's HTTP client (pyqwest,
which wakes an event loop from tokio's threads) that is a SIGABRT without a word, after a good result, if the machine is slow.
"""

import atexit
import os
import runpy
import sys

code = 1


@atexit.register
def leave():
    """Registered first, so it is called last."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


del sys.argv[0]
program = os.path.abspath(sys.argv[0])
sys.path[0] = os.path.dirname(program)
try:
    runpy.run_path(program, run_name="__main__")
    code = 0
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
    raise
