"""A small log writer: makes the logs, answers and forgeries that the selftest judges.

It builds trees by the recursive definitions of RFC 6962, not with the code
that verifies them.
"""

import json
import os

from . import ed25519
from .canonical import jcs, to_base64
from .entries import STRICTNESS
from .fields import call_digest, field_tree
from .merkle import EMPTY_ROOT, TILE_WIDTH, leaf_hash, node_hash
from .notes import ALG_COSIGNATURE, ALG_ED25519, format_vkey, key_id
from .tiles import tile_path


def _split(count):
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


class Tree:
    """Leaf hashes with MTH, PATH and PROOF as RFC 6962 section 2.1 defines them."""

    def __init__(self, entries):
        self.leaves = [leaf_hash(entry) for entry in entries]
        self._known = {}

    def root(self, end, start=0):
        if end == start:
            return EMPTY_ROOT
        if end - start == 1:
            return self.leaves[start]
        found = self._known.get((start, end))
        if found is None:
            middle = start + _split(end - start)
            found = self._known[(start, end)] = node_hash(self.root(middle, start), self.root(end, middle))
        return found

    def inclusion(self, index, end, start=0):
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return self.inclusion(index, middle, start) + [self.root(end, middle)]
        return self.inclusion(index, end, middle) + [self.root(middle, start)]

    def consistency(self, old, end):
        return self._subproof(old, 0, end, True)

    def _subproof(self, old, start, end, whole):
        if old == end:
            return [] if whole else [self.root(end, start)]
        middle = start + _split(end - start)
        if old <= middle:
            return self._subproof(old, start, middle, whole) + [self.root(end, middle)]
        return self._subproof(old, middle, end, False) + [self.root(middle, start)]


class Signer:
    """A log's or witness's key."""

    def __init__(self, name, seed):
        self.name, self.seed, self.public = name, seed, ed25519.public_key(seed)

    @property
    def vkey(self):
        return format_vkey(self.name, ALG_ED25519, self.public)

    @property
    def witness_vkey(self):
        return format_vkey(self.name, ALG_COSIGNATURE, self.public)

    def _line(self, algorithm, payload):
        return "\u2014 %s %s\n" % (self.name, to_base64(key_id(self.name, algorithm, self.public) + payload))

    def checkpoint(self, size, root, origin=None):
        text = "%s\n%d\n%s\n" % (origin or self.name, size, to_base64(root))
        return (text + "\n" + self.sign_note(text)).encode()

    def sign_note(self, text):
        return self._line(ALG_ED25519, ed25519.sign(self.seed, text.encode()))

    def cosign(self, text, timestamp):
        signature = ed25519.sign(self.seed, ("cosignature/v1\ntime %d\n%s" % (timestamp, text)).encode())
        return self._line(ALG_COSIGNATURE, timestamp.to_bytes(8, "big") + signature)


def tlog_proof(index, path, checkpoint):
    lines = ["c2sp.org/tlog-proof@v1", "index %d" % index] + [to_base64(h) for h in path] + ["", ""]
    return "\n".join(lines).encode() + checkpoint


def _write(root, path, data):
    full = os.path.join(root, *path.split("/"))
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(data)


def bundle(entries):
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def write_log(directory, entries, signer, sizes=()):
    """Writes the tiles and bundles of `entries`, the partial ones of `sizes` too, and a checkpoint."""
    tree = Tree(entries)
    for size in sorted({*sizes, len(entries)}):
        level, unit = 0, 1
        while unit <= size:
            count = size // unit
            for number in range((count + TILE_WIDTH - 1) // TILE_WIDTH):
                first, last = number * TILE_WIDTH, min(count, (number + 1) * TILE_WIDTH)
                hashes = [tree.root((i + 1) * unit, i * unit) for i in range(first, last)]
                _write(directory, tile_path(level, number, last - first), b"".join(hashes))
                if level == 0:
                    _write(directory, tile_path("entries", number, last - first), bundle(entries[first:last]))
            level, unit = level + 1, unit * TILE_WIDTH
    _write(directory, "checkpoint", signer.checkpoint(len(entries), tree.root(len(entries))))
    return tree


def uuid7(number, milliseconds=1_760_000_000_000):
    """A UUIDv7 that depends on nothing but its arguments."""
    text = "%012x7%03x8%015x" % (milliseconds + number, number & 0xFFF, number)
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def moment(number):
    """A time that grows with `number`, 7 ms a step."""
    seconds, millis = divmod(number * 7, 1000)
    return "2026-02-03T%02d:%02d:%02d.%03dZ" % (seconds // 3600, seconds // 60 % 60, seconds % 60, millis)


class LedgerStory:
    """Foreseal entries as a service might have sealed them, with the documents behind them."""

    AGENTS = 3

    def __init__(self, count):
        self.entries, self.answers = [], {}
        self._chains = {}
        for index in range(count):
            if index < 2 + 2 * self.AGENTS:
                self._registration(index)
            elif index == 8 or index % 50 == 49:
                counts = dict.fromkeys(("400", "401", "403", "409", "413", "429", "503"), index)
                self._entry("refused", index, since=moment(0), counts=counts)
            else:
                self._intent(index)

    def _entry(self, kind, index, **members):
        self.entries.append({"v": 1, "type": kind, "id": uuid7(index), "at": moment(index), **members})

    def _registration(self, index):
        """An operator, a policy, then each agent and, by a rotation, its key."""
        sealed = {"declared": {"root": to_base64(bytes([index]) * 32), "log2": 2}}
        if index == 0:
            self._entry("operator", index, operation="register", **sealed)
        elif index == 1:
            self._entry("policy", index, by=0, mode="enforce", rules=3, **sealed)
        elif index % 2 == 0:
            self._entry("agent", index, operation="register", by=0, **sealed)
        else:
            self._entry("agent", index, operation="rotate", agent=index - 1, by=0, key=to_base64(bytes([index]) * 32), **sealed)

    def _intent(self, index):
        agent = 2 + 2 * (index % self.AGENTS)
        seed = bytes([index % 251]) * 32
        outcome = STRICTNESS[index % 5]
        document = {
            "id": uuid7(index),
            "agent": "agent-%d" % agent,
            "session": "s-%d" % (index % 7),
            "goal": "Grüße an 😀 – refund order %d" % index,
            "reasoning": ["look/it~up", "then act"],
            "observations": [],
            "calls": [
                {"id": "c1", "server": "shop", "tool": "refund", "args": {"order": index, "amount": 12.5, "note": {}}},
                {"id": "c2", "tool": "send_email", "args": {"to": "bob@example.com"}, "after": ["c1"]},
            ],
        }
        root, log2 = field_tree(document, seed)
        evaluation = {"root": to_base64(bytes([index % 256]) * 32), "log2": 4}
        runs = [changed(call, outcome) for call in document["calls"]]
        calls = [{"outcome": outcome, "digest": to_base64(call_digest(seed, i, c))} for i, c in enumerate(runs)]
        count, last = self._chains.get(agent, (0, None))
        entry = {
            "v": 1, "type": "intent", "id": document["id"], "at": moment(index), "agent": agent, "signer": agent + 1,
            "session": to_base64(bytes(16)), "seq": count, "declared": {"root": to_base64(root), "log2": log2},
            "evaluation": evaluation, "outcome": outcome, "calls": calls, "policy": 1, "engine": 3,
        }  # fmt: skip
        if last is not None:
            entry["prev"] = last
        self._chains[agent] = (count + 1, index)
        self.entries.append(entry)
        self.answers[index] = (jcs(document).decode(), seed)

    def leaves(self):
        return [jcs(entry) for entry in self.entries]


def changed(call, outcome):
    """The call that may run: a modified one lost an argument."""
    if outcome != "modify":
        return call
    lost = max(call["args"])
    return {**call, "args": {name: value for name, value in call["args"].items() if name != lost}}


def answer(story, index, tree, size, signer):
    """The `201` body for entry `index`, its request beside it, as `receipts` takes them."""
    entry = story.entries[index]
    body, seed = story.answers[index]
    checkpoint = signer.checkpoint(size, tree.root(size))
    calls = []
    for number, (call, declared) in enumerate(zip(entry["calls"], json.loads(body)["calls"]), 1):
        told = {"id": "c%d" % number, "outcome": call["outcome"]}
        if call["outcome"] == "modify":
            told["args"] = changed(declared, "modify")["args"]
        calls.append(told)
    return {
        "id": entry["id"],
        "index": index,
        "decision": {"outcome": entry["outcome"], "reasons": [], "conditions": [], "calls": calls},
        "receipt": tlog_proof(index, tree.inclusion(index, size), checkpoint).decode(),
        "entry": to_base64(jcs(entry)),
        "opening": {"declared": {"seed": to_base64(seed)}},
        "permits": [],
        "request": {"body": body},
    }
