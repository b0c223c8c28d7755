"""Receipts: C2SP tlog-proof files."""

from collections import namedtuple

from .canonical import unbase64
from .merkle import check_inclusion, leaf_hash
from .notes import decimal
from .outcome import Invalid

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PATH = 63

TlogProof = namedtuple("TlogProof", "index path checkpoint extra")


def parse_tlog_proof(data):
    """Splits a tlog-proof; verifies nothing. Raises Invalid."""
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Invalid("the receipt's head is not ASCII") from None
    if not blank or lines.pop(0) != HEADER:
        raise Invalid("the receipt is not a %s" % HEADER)
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = unbase64(lines.pop(0)[len("extra ") :], "the receipt's extra data")
    if not lines or not lines[0].startswith("index "):
        raise Invalid("the receipt has no index line")
    index = decimal(lines.pop(0)[len("index ") :], "the receipt's index")
    if len(lines) > MAX_PATH:
        raise Invalid("the receipt's path has more than %d hashes" % MAX_PATH)
    path = [unbase64(line, "a hash of the receipt's path", 32) for line in lines]
    return TlogProof(index, path, checkpoint, extra)


def check_receipt(data, entry, trust, report):
    """Verifies that `entry` is in the log; returns (proof, checkpoint). Raises Invalid or Undecided."""
    proof = parse_tlog_proof(data)
    checkpoint = trust.check(proof.checkpoint, report)
    check_inclusion(proof.index, checkpoint.size, leaf_hash(entry), proof.path, checkpoint.root)
    return proof, checkpoint
