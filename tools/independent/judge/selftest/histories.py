"""Observed checkpoints: one history, forks, rollbacks, and files of every shape."""

import json
import os

from ..history import split_notes
from ..writer import LedgerStory, Signer, Tree, write_log

SIGNER = Signer("ledger.example/history", bytes(range(50, 82)))
SIZES = (0, 1, 2, 3, 255, 256, 257, 300, 511, 512, 513, 600)


def run(tally, directory):
    log = os.path.join(directory, "log")
    os.mkdir(log)
    leaves = LedgerStory(600).leaves()
    tree = write_log(log, leaves, SIGNER)
    heads = [SIGNER.checkpoint(size, tree.root(size)) for size in SIZES]
    path = os.path.join(directory, "observed")

    def judge(what, code, data, where=log):
        with open(path, "wb") as file:
            file.write(data)
        return tally.exits(what, code, "checkpoints", path, "--vkey", SIGNER.vkey, "--log", where)

    for what, data in _shapes(heads).items():
        tally.equal("%s are split" % what, split_notes(data), heads)
        report = judge("%s are one history" % what, 0, data)
        tally.equal("all are counted", report["facts"].get("observed"), len(heads))
    all_heads = [SIGNER.checkpoint(size, tree.root(size)) for size in range(601)]
    judge("every size from 0 to 600", 0, b"".join(all_heads))
    several = [os.path.join(directory, "head%d" % i) for i in range(3)]
    for name, head in zip(several, heads):
        with open(name, "wb") as file:
            file.write(head)
    tally.exits("several files", 0, "checkpoints", *several, "--vkey", SIGNER.vkey, "--log", log)
    tally.exits("a file that is missing", 2, "checkpoints", *several, path + "-not", "--vkey", SIGNER.vkey, "--log", log)
    judge("no checkpoint", 2, b"")
    judge("a line without a checkpoint", 2, b'{"size":1}\n')
    _forks(tally, judge, leaves, tree, heads)
    _rollback(tally, directory, judge, leaves, heads)
    # Level 0 tiles are what everything is computed from.
    with open(os.path.join(log, "tile/0/001"), "r+b") as file:
        file.seek(4000)
        file.write(b"\0\0\0\0")
    judge("a log whose tiles are not its head's", 1, heads[1])


def _shapes(heads):
    texts = [head.decode() for head in heads]
    return {
        "notes one after the other": b"".join(heads),
        "notes with empty lines between": b"\n\n".join(heads),
        "JSON lines of strings": "".join(json.dumps(text) + "\n" for text in texts).encode(),
        "JSON lines of objects": "".join(json.dumps({"at": "…", "checkpoint": text}) + "\n" for text in texts).encode(),
        "a JSON array": json.dumps(texts, indent=1).encode(),
    }


def _forks(tally, judge, leaves, tree, heads):
    other = Tree(leaves[:299] + [b"{}"] + leaves[300:])
    forked = SIGNER.checkpoint(300, other.root(300))
    report = judge("two roots for one size", 1, b"".join(heads) + forked)
    tally.holds("it is called a fork", any(p["name"] == "fork" for p in report["problems"]))
    judge("a head of another history alone", 1, forked)
    judge("a later head of another history", 1, heads[3] + SIGNER.checkpoint(513, other.root(513)))
    judge("a head before the histories part", 0, SIGNER.checkpoint(299, other.root(299)))
    judge("a head with another root", 1, SIGNER.checkpoint(599, tree.root(600)))
    judge("a forged signature", 1, heads[5][:-8] + b"AAAAA==\n")
    judge("another log's head beside ours", 2, heads[0] + Signer("other.example", bytes(32)).checkpoint(1, tree.root(1)))
    for position in range(0, len(heads[4]), 3):
        flipped = bytearray(heads[4])
        flipped[position] ^= 1 << position % 7
        judge("byte %d of a head flipped" % position, 1, bytes(flipped))


def _rollback(tally, directory, judge, leaves, heads):
    short = os.path.join(directory, "short")
    os.mkdir(short)
    write_log(short, leaves[:300], SIGNER)
    report = judge("a directory that shows less than was signed", 2, b"".join(heads), short)
    tally.holds("it is called a rollback", any(p["name"] == "rollback" for p in report["undecided"]))
    empty = os.path.join(directory, "empty")
    os.mkdir(empty)
    write_log(empty, [], SIGNER)
    judge("the empty log and its head", 0, heads[0], empty)
