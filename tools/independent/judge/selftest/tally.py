"""Counting what held, and running the command line as a user would."""

import contextlib
import io
import json
import sys
import traceback

from ..cli import main
from ..outcome import Invalid, Undecided


class Tally:
    def __init__(self):
        self.passed = self.failed = 0

    def holds(self, promise, condition, detail=""):
        if condition:
            self.passed += 1
        else:
            self.failed += 1
            print("FAILED: %s %s" % (promise, detail))

    def equal(self, promise, got, wanted):
        self.holds(promise, got == wanted, "got %r, wanted %r" % (got, wanted))

    def refused(self, promise, function, *arguments, by=Invalid):
        try:
            function(*arguments)
        except by:
            self.passed += 1
        except Exception as error:
            self.holds(promise, False, "raised %s: %s" % (type(error).__name__, error))
        else:
            self.holds(promise, False, "was accepted")

    def undecided(self, promise, function, *arguments):
        self.refused(promise, function, *arguments, by=Undecided)

    def exits(self, promise, code, *arguments):
        """Runs the command line with --json; returns the report."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            got = main([*arguments, "--json"])
        self.holds(promise, got == code, "exit %s, wanted %s: %s" % (got, code, output.getvalue()[:600]))
        return json.loads(output.getvalue())

    def crashed(self, name, error):
        self.failed += 1
        print("FAILED: %s stopped: %s" % (name, error))
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stdout)
