"""The verifier's own tests: known figures, logs made here, and forgeries that must be found."""

import os
import tempfile

from . import answers, formats, histories, logs, signatures, vectors
from .tally import Tally


def run_all():
    """Runs everything; prints each failure, each skip, and one line of totals."""
    tally = Tally()
    with tempfile.TemporaryDirectory() as scratch:
        for part in (signatures, formats, logs, histories, answers, vectors):
            name = part.__name__.rsplit(".", 1)[-1]
            directory = os.path.join(scratch, name)
            os.mkdir(directory)
            try:
                part.run(tally, directory)
            except Exception as error:  # the rest shall still run and the totals be printed
                tally.crashed(name, error)
    print("%d passed, %d failed" % (tally.passed, tally.failed))
    return 1 if tally.failed else 0
