"""The parts of the independent verifier.

Everything here is written from the specifications alone (RFC 6962, RFC 8032,
RFC 8785, C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof,
tlog-policy, and Foreseal's own format page). It shares no code with the
ledger, on purpose: a fault in one is not a fault in the other.

Who may use whom, lower ones never the upper ones:

    outcome                      the two ways a check can fail, and the report
    ed25519, merkle, canonical   mathematics and JSON
    notes, trust, tiles, proof   the C2SP formats
    fields, entries              Foreseal's own formats
    audit, answers, history, bundle   one module for each command
    cli                          arguments in, report and exit code out
    figures                      vectors of Foreseal's formats for other implementations
    selftest, writer             tests, and the small log they are run on
"""
