#!/usr/bin/env python3
"""An independent verifier for Foreseal logs, receipts and checkpoints.

Python 3.9 or later, standard library only, no code shared with the ledger.

    verifier.py log URL|DIR       --vkey VKEY | --trust FILE   the whole log
    verifier.py receipts FILE     --vkey VKEY | --trust FILE   answers, one a line
    verifier.py checkpoints FILE… --vkey VKEY | --trust FILE --log URL|DIR
    verifier.py bundle FILE       --vkey VKEY | --trust FILE   a bundle
    verifier.py selftest                                       its own tests

Exit codes: 0 valid, 1 proven invalid, 2 could not decide.
"""

import sys

from judge.cli import main
from judge.outcome import UNDECIDED

if __name__ == "__main__":
    # A console that is not UTF-8 must not turn a verdict into a crash.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        code = main()
    except KeyboardInterrupt:
        code = UNDECIDED
    except Exception as error:  # a fault of this tool must never read as a verdict about a log
        print("verifier.py: internal fault: %s: %s" % (type(error).__name__, error), file=sys.stderr)
        code = UNDECIDED
    sys.exit(code)
