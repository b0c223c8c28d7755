"""Whole logs: good ones of awkward sizes, and every kind of damage to one."""

import functools
import gzip
import http.server
import os
import shutil
import threading

from ..canonical import jcs, to_base64
from ..writer import LedgerStory, Signer, Tree, bundle, moment, uuid7, write_log

SIGNER = Signer("ledger.example/log", bytes(range(100, 132)))
SIZES = (0, 1, 2, 255, 256, 257, 600)
TOKEN = "selftest-token"


def run(tally, directory):
    logs = {}
    for size in SIZES:
        logs[size] = os.path.join(directory, str(size))
        os.mkdir(logs[size])
        leaves = LedgerStory(size).leaves()
        write_log(logs[size], leaves, SIGNER, [s for s in (*SIZES, 3, 100, 300) if s <= size])
        report = tally.exits("a log of %d entries is valid" % size, 0, "log", logs[size], "--vkey", SIGNER.vkey)
        tally.equal("its size is told", report["facts"].get("size"), size)
    _large(tally, directory)
    _damage(tally, directory, logs[600])
    _links(tally, directory)
    _over_http(tally, directory, logs[257])
    _trust(tally, directory, logs[2])


def _large(tally, directory):
    path = os.path.join(directory, "large")
    leaves = [b"entry %d" % i for i in range(70000)]
    os.mkdir(path)
    write_log(path, leaves, SIGNER)
    for name, there in (("0/272", 1), ("0/273.p/112", 1), ("1/000", 1), ("1/001.p/17", 1), ("2/000.p/1", 1), ("2/000", 0), ("3/000.p/1", 0)):
        tally.equal("a log of 70,000 has the tile " + name, os.path.exists(os.path.join(path, "tile", name)), bool(there))
    report = tally.exits("a log of 70,000 opaque leaves is valid", 0, "log", path, "--vkey", SIGNER.vkey, "--opaque")
    tiles = [c["detail"] for c in report["checks"] if c["name"] == "tiles"]
    tally.holds("all 274 full and 3 partial tiles were compared", tiles and tiles[0].startswith("274 full and 3 partial"), tiles)
    tally.exits("opaque leaves are no Foreseal entries", 1, "log", path, "--vkey", SIGNER.vkey)
    _flip(os.path.join(path, "tile/1/000"), 100 * 32)
    tally.exits("a flipped hash of a full level 1 tile", 1, "log", path, "--vkey", SIGNER.vkey, "--opaque")


def _flip(path, position, bit=0):
    with open(path, "r+b") as file:
        file.seek(position)
        old = file.read(1)[0]
        file.seek(position)
        file.write(bytes([old ^ 1 << bit]))


def _damage(tally, directory, good):
    """One bit of every file, and every byte of the checkpoint, must matter."""
    path = os.path.join(directory, "damaged")
    shutil.copytree(good, path)
    verify = functools.partial(tally.exits, "", 0)
    files = [os.path.join(base, name) for base, _, names in os.walk(path) for name in names]
    for number, name in enumerate(sorted(files)):
        length = os.path.getsize(name)
        positions = range(length) if name.endswith("checkpoint") else ((number * 7919) % length, length - 1)
        for position in positions:
            _flip(name, position, position % 7)
            what = "bit %d of byte %d of %s flipped" % (position % 7, position, os.path.relpath(name, path))
            tally.exits(what, 1, "log", path, "--vkey", SIGNER.vkey)
            _flip(name, position, position % 7)
    verify("log", path, "--vkey", SIGNER.vkey)
    for name in ("tile/0/000", "tile/entries/001", "tile/0/002.p/88", "tile/1/000.p/2", "checkpoint"):
        full = os.path.join(path, name)
        os.rename(full, full + ".gone")
        tally.exits("%s missing" % name, 2, "log", path, "--vkey", SIGNER.vkey)
        os.rename(full + ".gone", full)
    for name in ("tile/0/000", "tile/entries/000", "tile/0/002.p/88", "tile/entries/002.p/88"):
        full = os.path.join(path, name)
        with open(full, "rb") as file:
            data = file.read()
        for changed in (data[:-1], data + b"\0", b"", data[:-32]):
            with open(full, "wb") as file:
                file.write(changed)
            tally.exits("%s of %d bytes" % (name, len(changed)), 1, "log", path, "--vkey", SIGNER.vkey)
        with open(full, "wb") as file:
            file.write(data)
    verify("log", path, "--vkey", SIGNER.vkey)
    # Two leaves swapped, tiles made to match: only the root knows.
    leaves = LedgerStory(600).leaves()
    leaves[300], leaves[301] = leaves[301], leaves[300]
    with open(os.path.join(path, "checkpoint"), "rb") as file:
        checkpoint = file.read()
    write_log(path, leaves, SIGNER, [100])
    with open(os.path.join(path, "checkpoint"), "wb") as file:
        file.write(checkpoint)
    report = tally.exits("leaves swapped under the old checkpoint", 1, "log", path, "--vkey", SIGNER.vkey, "--opaque")
    tally.holds("the root tells", any(p["name"] == "root" for p in report["problems"]))


def _links(tally, directory):
    """Logs that are perfect trees of wrong entries."""
    path = os.path.join(directory, "links")

    def judge(what, code, change):
        story = LedgerStory(60)
        leaves = change(story.entries)
        if leaves is None:
            leaves = story.leaves()
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        write_log(path, leaves, SIGNER)
        return tally.exits("a log where " + what, code, "log", path, "--vkey", SIGNER.vkey)

    def put(index, **fields):
        def change(entries):
            for name, value in fields.items():
                if value is _GONE:
                    entries[index].pop(name, None)
                else:
                    entries[index][name] = value

        return change

    def raw(index, data):
        def change(entries):
            leaves = [jcs(entry) for entry in entries]
            leaves[index] = data(leaves[index]) if callable(data) else data
            return leaves

        return change

    judge("nothing is wrong", 0, lambda entries: None)
    strange = judge("a type is new", 0, put(49, type="novelty", at="whenever"))
    tally.equal("the new type is told", strange["facts"]["not_understood"], {"novelty v1": 1})
    judge("a version is new", 0, put(49, v=2, at=5, seq="x"))
    # Entry 20 is an intent of agent 6, whose entries are 11, 14, 17, 20, …
    for what, change in {
        "seq skips": put(20, seq=9), "seq repeats": put(20, seq=2), "prev names another": put(20, prev=14), "prev is missing": put(20, prev=_GONE),
        "a first entry has a prev": put(11, prev=3), "seq is missing": put(20, seq=_GONE), "seq is a text": put(20, seq="3"), "seq is true": put(14, seq=True),
        "the time steps back": put(20, at=moment(18)), "the time is missing": put(20, at=_GONE), "the time has no milliseconds": put(20, at="2026-02-03T00:00:00Z"),
        "the day does not exist": put(20, at="2026-02-30T00:00:00.000Z"), "the agent is not registered": put(20, agent=0, seq=0, prev=_GONE), "the agent is later": put(20, agent=40),
        "the policy is an agent": put(20, policy=2), "the policy is itself": put(20, policy=20), "the policy is negative": put(20, policy=-1), "no policy allowed it": put(20, policy=_GONE, outcome="allow"),
        "the signer is a policy": put(20, signer=1), "the signer is a text": put(20, signer="5"), "the outcome is unknown": put(20, outcome="perhaps"),
        "a call's outcome is unknown": put(20, calls=[{"outcome": "yes", "digest": to_base64(bytes(32))}]), "a digest is short": put(20, calls=[{"outcome": "deny", "digest": "AAAA"}]),
        "there are no calls": put(20, calls=[]), "there are 65 calls": put(20, calls=[{"outcome": "deny", "digest": to_base64(bytes(32))}] * 65), "the session is not 16 bytes": put(20, session="AAAA"),
        "the root is not 32 bytes": put(20, declared={"root": "AAAA", "log2": 4}), "log2 is 14": put(20, declared={"root": to_base64(bytes(32)), "log2": 14}),
        "the evaluation is missing": put(20, evaluation=_GONE), "the id is no UUIDv7": put(20, id=uuid7(20).replace("-7", "-4", 1)), "an id comes twice": put(20, id=uuid7(17)),
        "it expires before it was sealed": put(20, expires=moment(1)), "a count of refusals has a prev": put(49, prev=1), "leaf 0 is no operator": put(0, type="key"),
        "a member is not known": put(20, delta={}), "prev is null": put(11, prev=None), "an id is in capitals": put(20, id=uuid7(20).upper()), "the outcome is milder than a call's": put(20, outcome="allow", calls=[{"outcome": "hold", "digest": to_base64(bytes(32))}]),
        "log2 is 0": put(20, declared={"root": to_base64(bytes(32)), "log2": 0}), "a count is missing": put(49, counts={}), "an agent was revoked before": put(5, operation="revoke", key=_GONE, declared=_GONE),
        "a leaf is not canonical": raw(20, lambda leaf: leaf.replace(b'{"agent":', b'{ "agent":')), "a leaf has a key twice": raw(20, lambda leaf: b'{"agent":6,' + leaf[1:]),
        "a leaf is not JSON": raw(20, b"hello"), "a leaf is empty": raw(20, b""), "a leaf is an array": raw(20, b"[]"), "a leaf has no type": raw(20, b'{"v":1}'),
        "a leaf has an integer too large": raw(20, lambda leaf: leaf.replace(b'"engine":3', b'"engine":9007199254740992')),
    }.items():  # fmt: skip
        judge(what, 1, change)


_GONE = object()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves a directory to whoever has the token; can compress, hide partial tiles, or fail first."""

    protocol_version = "HTTP/1.1"
    root, squeeze, only_full, failures = "", False, False, 0

    def do_GET(self):
        cls = type(self)
        if self.headers.get("Authorization") != "Bearer " + TOKEN:
            return self._send(401, b"")
        if cls.failures:
            cls.failures -= 1
            return self._send(503, b"")
        if cls.only_full and ".p/" in self.path:
            return self._send(404, b"")
        try:
            with open(os.path.join(cls.root, self.path.split("/log/", 1)[1]), "rb") as file:
                data = file.read()
        except (OSError, IndexError):
            return self._send(404, b"")
        return self._send(200, gzip.compress(data) if cls.squeeze else data)

    def _send(self, status, data):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if type(self).squeeze and status == 200:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        pass


def _over_http(tally, directory, path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/log" % server.server_port
    try:
        _Handler.root = path
        verify = ("log", url + "/", "--vkey", SIGNER.vkey)
        tally.exits("a log over HTTP", 0, *verify, "--token", TOKEN)
        tally.exits("a log over HTTP without the token", 2, *verify, "--token", "wrong")
        _Handler.failures = 2
        tally.exits("a server that fails twice", 0, *verify, "--token", TOKEN)
        _Handler.squeeze = True
        tally.exits("a log compressed without being asked", 0, *verify, "--token", TOKEN)
        _Handler.squeeze, _Handler.only_full = False, True
        # The log grew to 512 after its checkpoint of 257 was made: only full tiles are left.
        grown = os.path.join(directory, "grown")
        os.mkdir(grown)
        leaves = LedgerStory(512).leaves()
        write_log(grown, leaves, SIGNER)
        with open(os.path.join(grown, "checkpoint"), "wb") as file:
            file.write(SIGNER.checkpoint(257, Tree(leaves).root(257)))
        _Handler.root = grown
        tally.exits("a partial tile of level 1 that is gone, and no full one", 2, *verify, "--token", TOKEN)
        with open(os.path.join(grown, "checkpoint"), "wb") as file:
            file.write(SIGNER.checkpoint(255, Tree(leaves).root(255)))
        tally.exits("full tiles in place of partial ones", 0, *verify, "--token", TOKEN)
        seen = os.path.join(directory, "seen")
        with open(seen, "wb") as file:
            file.write(SIGNER.checkpoint(257, Tree(leaves).root(257)))
        report = tally.exits("a live log that serves less than it signed", 1, "checkpoints", seen, "--log", *verify[1:], "--token", TOKEN)
        tally.holds("it is called a rollback", any(p["name"] == "rollback" for p in report["problems"]))
        with open(os.path.join(grown, "tile/entries/000"), "wb") as file:
            file.write(bundle(leaves[:255]))
        tally.exits("a full bundle with an entry missing", 1, *verify, "--token", TOKEN)
    finally:
        server.shutdown()
        server.server_close()
    tally.exits("a server that is gone", 2, "log", url, "--vkey", SIGNER.vkey, "--token", TOKEN)
    tally.exits("a URL that is none", 2, "log", "http://", "--vkey", SIGNER.vkey)


def _trust(tally, directory, path):
    policy = os.path.join(directory, "trust.policy")
    with open(policy, "w", encoding="ascii") as file:
        file.write("# made by the selftest\nlog %s\nquorum none\n" % SIGNER.vkey)
    tally.exits("a trust file", 0, "log", path, "--trust", policy)
    tally.exits("no trust at all", 2, "log", path)
    tally.exits("two kinds of trust", 2, "log", path, "--trust", policy, "--vkey", SIGNER.vkey)
    tally.exits("a trust file that is missing", 2, "log", path, "--trust", policy + ".not")
    tally.exits("another log's key", 2, "log", path, "--vkey", Signer("other.example", bytes(32)).vkey)
    tally.exits("another key of the same name", 1, "log", path, "--vkey", Signer(SIGNER.name, bytes(32)).vkey)
    tally.exits("a directory that is missing", 2, "log", path + "-not", "--vkey", SIGNER.vkey)
