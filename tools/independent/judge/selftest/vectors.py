"""The published figures, and other people's vectors where the shared data is reachable."""

import base64
import json
import os
import pathlib

from ..entries import LinkChecker, check_intent, check_members, is_understood, parse_entry
from ..figures import figures
from ..merkle import check_consistency, check_inclusion
from ..notes import decimal, format_vkey
from ..outcome import Invalid, Report, Undecided
from ..trust import Trust

TESSERA_VKEY = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
WITNESS_LOG_KEY = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f"


def shared_data():
    """The folder of vectors, or None."""
    beside = pathlib.Path(__file__).resolve().parents[4].parent / "shared" / "data"
    vectors = pathlib.Path(os.environ.get("FORESEAL_SHARED_DATA") or beside) / "vectors"
    return vectors if vectors.is_dir() else None


def run(tally, directory):
    written = pathlib.Path(__file__).resolve().parents[2] / "vectors.json"
    tally.equal("the published figures of our own formats", json.loads(written.read_bytes()), figures())
    _entries(tally, pathlib.Path(__file__).resolve().parents[4] / "tests" / "vectors" / "entries")
    vectors = shared_data()
    if vectors is None:
        print("skipped: other people's vectors (set FORESEAL_SHARED_DATA)")
        return
    _tessera(tally, directory, vectors / "tessera-log")
    _merkle(tally, vectors / "merkle" / "testdata")
    _worked_files(tally, vectors / "worked-example")
    _witness(tally, vectors / "witness" / "litewitness.txt")


def _entries(tally, folder):
    """The project's own vectors: what is an entry, and what follows from what."""
    if not folder.is_dir():
        print("skipped: vectors of entries (this tool was copied out of the project)")
        return
    cases = json.loads((folder / "entries.json").read_bytes())
    for case in cases["accepted"] + cases["refused"]:
        try:
            entry = parse_entry(case["entry"].encode())
            if is_understood(entry):
                check_intent(entry) if entry["type"] == "intent" else check_members(entry)
            taken = True
        except Invalid:
            taken = False
        tally.equal("entries: %s" % case["about"], taken, case in cases["accepted"])
    chain = json.loads((folder / "chain.json").read_bytes())

    def after(count):
        links = LinkChecker()
        return links, [problem for leaf in chain["leaves"][:count] for problem in links.feed(leaf.encode())]

    tally.equal("chain: nothing is wrong", after(len(chain["leaves"]))[1], [])
    for case in chain["broken"]:
        tally.holds("chain: " + case["about"], after(case["at"])[0].feed(case["entry"].encode()))


def _tessera(tally, directory, log):
    """Every published size of the log verifies, and all are one history."""
    heads = sorted(str(p) for p in log.glob("checkpoint.*"))
    tally.equal("tessera: 16 checkpoints", len(heads), 16)
    tally.exits("tessera: one history", 0, "checkpoints", *heads, "--vkey", TESSERA_VKEY, "--log", str(log))
    for head in heads:
        copy = os.path.join(directory, os.path.basename(head))
        os.mkdir(copy)
        os.symlink(head, os.path.join(copy, "checkpoint"))
        os.symlink(str(log / "tile"), os.path.join(copy, "tile"))
        tally.exits("tessera: %s" % os.path.basename(head), 0, "log", copy, "--vkey", TESSERA_VKEY, "--opaque")


def _merkle(tally, folder):
    cases = sorted(folder.rglob("*.json"))
    tally.equal("merkle: 196 cases", len(cases), 196)
    for path in cases:
        case = json.loads(path.read_bytes())
        try:
            hashes = {k: base64.b64decode(case[k] or "") for k in ("root", "leafHash", "root1", "root2") if k in case}
            proof = [base64.b64decode(text) for text in case["proof"] or []]
            short = any(len(value) != 32 for value in hashes.values())
            if "root1" in hashes:
                check_consistency(case["size1"], case["size2"], hashes["root1"], hashes["root2"], proof)
            else:
                check_inclusion(case["leafIdx"], case["treeSize"], hashes["leafHash"], proof, hashes["root"])
            accepted = True
        except Invalid:
            accepted = False
        # Two cases have a root that is not 32 bytes long: those we refuse, whatever they expect.
        wanted = not case["wantErr"] and not short
        tally.equal("merkle: %s" % path.relative_to(folder), accepted, wanted)


def _worked_files(tally, folder):
    vkey = (folder / "vkey").read_text().strip()
    trust = Trust.from_vkey(vkey)
    for path in sorted(folder.glob("checkpoint.*")):
        size = decimal(path.suffix[1:], "a size")
        tally.equal("worked example: %s" % path.name, trust.check(path.read_bytes(), Report()).size, size)


def _witness(tally, path):
    """The witness conversation: which signatures and proofs of it are true."""
    public = bytes.fromhex(WITNESS_LOG_KEY)
    roots, verdicts = {}, []
    origin = None
    for block in path.read_text(encoding="utf-8").split("```\n")[1::2]:
        head, _, note = block.partition("\n\n")
        lines = head.split("\n")
        old, proof = int(lines[0][4:]), [base64.b64decode(line) for line in lines[1:]]
        origin = origin or note.split("\n")[0]
        trust = Trust.from_vkey(format_vkey(origin, 1, public))
        try:
            checkpoint = trust.check(note.encode(), Report())
            if old:
                check_consistency(old, checkpoint.size, roots[old], checkpoint.root, proof)
            roots.setdefault(checkpoint.size, checkpoint.root)
            verdicts.append("true")
        except Invalid:
            verdicts.append("false")
        except Undecided:
            verdicts.append("unknown log")
    # Its answers: 200, 403 (signature), 403 (log), 422, 422, 200, 409, 200, 409; the proof
    # of the first 409 starts from a size that the witness no longer holds, and is itself true.
    tally.equal("witness conversation", verdicts, ["true", "false", "unknown log", "false", "false", "true", verdicts[6], "true", "true"])
