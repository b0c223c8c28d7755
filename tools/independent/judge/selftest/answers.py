"""Answers: true ones in every shape a file may have, and each part of one changed."""

import base64
import copy
import json
import os
import random

from .. import ed25519
from ..answers import AnswerChecker
from ..canonical import jcs, to_base64
from ..entries import LinkChecker
from ..fields import call_digest, document_fields, field_tree, pae, sign_statement, statement
from ..outcome import Invalid, Report
from ..trust import Trust
from ..writer import LedgerStory, Signer, Tree, answer, uuid7, write_log

SIGNER = Signer("ledger.example/answers", bytes(range(7, 39)))
AGENT_SEED = bytes(range(200, 232))


def run(tally, directory):
    story = LedgerStory(300)
    tree = Tree(story.leaves())
    made = [answer(story, index, tree, size, SIGNER) for index in list(story.answers)[::7] for size in (index + 1, 300)]
    path = os.path.join(directory, "answers.jsonl")

    def judge(what, code, lines, *more):
        with open(path, "wb") as file:
            file.write(lines if isinstance(lines, bytes) else "".join(json.dumps(line) + "\n" for line in lines).encode())
        return tally.exits(what, code, "receipts", path, "--vkey", SIGNER.vkey, *more)

    report = judge("true answers", 0, made)
    tally.equal("all are counted", (report["facts"]["answers"], report["facts"]["with_body"]), (len(made), len(made)))
    log = os.path.join(directory, "log")
    os.mkdir(log)
    write_log(log, story.leaves(), SIGNER)
    judge("true answers and the log", 0, made, "--log", log)
    judge("one pretty answer", 0, json.dumps(made[0], indent=2).encode())
    judge("an answer beside its request", 0, [{"answer": {k: v for k, v in made[0].items() if k != "request"}, "request": made[0]["request"]}])
    _without_body(tally, directory, judge, made[0])
    judge("an empty file", 2, b"")
    judge("a line that is not JSON", 2, b"{\n{\n")
    judge("an error document", 2, [{"type": "about:blank", "status": 503, "code": "unavailable"}])
    judge("a true answer and a broken line", 2, [made[0], 5])
    _changed(tally, judge, story, made)
    _contradictions(tally, judge, story, tree, made, log)
    _signed(tally, judge, story, tree)
    _fields(tally)
    _any_shape(tally, made)


def _without_body(tally, directory, judge, whole):
    bare = {k: v for k, v in whole.items() if k not in ("request", "opening")}
    report = judge("an answer without its request", 0, [bare])
    tally.holds("what was not checked is told", any("declared" in text for text in report["not_checked"]))
    judge("a request that nothing opens", 2, [dict(bare, request=whole["request"])])
    text_seed = dict(whole, opening={"declared": whole["opening"]["declared"]["seed"]})
    judge("a seed that is a string", 0, [text_seed])
    brought = dict(bare, request=dict(whole["request"], headers={"Foreseal-Seed": whole["opening"]["declared"]["seed"]}))
    judge("a seed that the client brought", 0, [brought])
    documents = os.path.join(directory, "declared")
    os.mkdir(documents)
    file_name = os.path.join(documents, whole["id"] + ".json")
    given = {k: v for k, v in whole.items() if k != "request"}
    with open(file_name, "w", encoding="utf-8") as file:
        file.write(whole["request"]["body"])
    report = judge("a declared document in a directory", 0, [given], "--declared-dir", documents)
    tally.equal("it was compared", report["facts"]["with_body"], 1)
    with open(file_name, "a", encoding="utf-8") as file:
        file.write("x")
    judge("a changed document in a directory", 1, [given], "--declared-dir", documents)


def _changed(tally, judge, story, made):
    whole = made[4]
    entry, body = base64.b64decode(whole["entry"]), json.loads(whole["request"]["body"])

    def changed(what, change, code=1):
        copied = copy.deepcopy(whole)
        change(copied)
        judge("an answer with " + what, code, [copied])

    other = made[9]
    allowed = "allow" if whole["decision"]["outcome"] != "allow" else "deny"
    changed("another id", lambda a: a.update(id=uuid7(9999)))
    changed("another index", lambda a: a.update(index=a["index"] + 1))
    changed("an index that is a text", lambda a: a.update(index=str(a["index"])))
    changed("another outcome", lambda a: a["decision"].update(outcome=allowed))
    changed("another outcome of a call", lambda a: a["decision"]["calls"][1].update(outcome=allowed))
    changed("a call left out", lambda a: a["decision"]["calls"].pop())
    changed("the calls' names swapped", lambda a: a["decision"]["calls"].reverse())
    changed("no decision", lambda a: a.pop("decision"))
    changed("an expiry the entry lacks", lambda a: a["decision"].update(expires="2030-01-01T00:00:00.000Z"))
    changed("another's entry", lambda a: a.update(entry=other["entry"]))
    changed("another's receipt", lambda a: a.update(receipt=other["receipt"]))
    changed("another's opening", lambda a: a.update(opening=other["opening"]))
    changed("a seed of 31 bytes", lambda a: a["opening"]["declared"].update(seed=to_base64(bytes(31))))
    changed("an entry that is not base64", lambda a: a.update(entry="?"))
    changed("a receipt that is a number", lambda a: a.update(receipt=7))
    changed("another seed than the client brought", lambda a: a["request"].update(seed=to_base64(bytes(32))))
    changed("an entry that was spaced out", lambda a: a.update(entry=to_base64(entry.replace(b",", b", ", 1))))
    for what, change in {
        "another argument": lambda d: d["calls"][0]["args"].update(order=1), "another tool": lambda d: d["calls"][0].update(tool="pay"), "a call more": lambda d: d["calls"].append(d["calls"][0]),
        "a field more": lambda d: d.update(extra=None), "a field less": lambda d: d.pop("goal"), "another goal": lambda d: d.update(goal="g"), "an empty object for an empty list": lambda d: d.update(observations={}),
        "another id": lambda d: d.update(id=uuid7(1)), "no calls": lambda d: d.pop("calls"), "another number": lambda d: d["calls"][0]["args"].update(amount=12.500001),
    }.items():  # fmt: skip
        copied = copy.deepcopy(body)
        change(copied)
        changed("a declared document with " + what, lambda a, c=copied: a["request"].update(body=json.dumps(c)))
    changed("a declared document that is not JSON", lambda a: a["request"].update(body="{"))
    changed("a declared document with a key twice", lambda a: a["request"].update(body='{"goal":1,' + a["request"]["body"][1:]))
    # The same document written otherwise is the same document.
    changed("a declared document written otherwise", lambda a: a["request"].update(body=json.dumps(body, indent=3)), 0)
    receipt = whole["receipt"].encode()
    for position in range(len(receipt)):
        flipped = bytearray(receipt)
        flipped[position] ^= 1 << position % 7
        changed("byte %d of the receipt flipped" % position, lambda a, f=bytes(flipped): a.update(receipt=f.decode("utf-8", "surrogateescape").encode("utf-8", "replace").decode()))
    for position in range(len(entry)):
        flipped = bytearray(entry)
        flipped[position] ^= 1 << position % 8
        changed("byte %d of the entry flipped" % position, lambda a, f=bytes(flipped): a.update(entry=to_base64(f)))


def _contradictions(tally, judge, story, tree, made, log):
    forked = LedgerStory(300)
    index = made[0]["index"]
    forked.entries[index]["engine"] = 4
    other = Tree(forked.leaves())
    judge("two leaves at one index", 1, [made[0], answer(forked, index, other, index + 1, SIGNER)])
    judge("two roots for one size", 1, [made[1], answer(forked, made[3]["index"], other, 300, SIGNER)])
    judge("a receipt of another history than the log's", 1, [answer(forked, index, other, 300, SIGNER)], "--log", log)
    twice = LedgerStory(300)
    twice.entries[index + 3]["id"] = twice.entries[index]["id"]
    body, seed = twice.answers[index]
    document = json.loads(body)
    root, log2 = field_tree(document, seed)
    digests = [dict(c, digest=to_base64(call_digest(seed, i, d))) for i, (c, d) in enumerate(zip(twice.entries[index + 3]["calls"], document["calls"]))]
    twice.entries[index + 3].update(declared={"root": to_base64(root), "log2": log2}, calls=digests)
    twice.answers[index + 3] = (body, seed)
    again = Tree(twice.leaves())
    pair = [answer(twice, i, again, 300, SIGNER) for i in (index, index + 3)]
    judge("one of two leaves of one intent", 0, pair[:1])
    judge("two leaves of one intent", 1, pair)
    wrong = LedgerStory(300)
    wrong.entries[index]["calls"][0]["digest"] = to_base64(bytes(32))
    if wrong.entries[index]["calls"][0]["outcome"] != "modify":
        judge("a digest of another call", 1, [answer(wrong, index, Tree(wrong.leaves()), 300, SIGNER)])
    strange = LedgerStory(300)
    strange.entries[index]["type"] = "novelty"
    judge("an entry of a new type", 2, [answer(strange, index, Tree(strange.leaves()), 300, SIGNER)])


def _signed(tally, judge, story, tree):
    whole = answer(story, 50, tree, 300, SIGNER)
    document = dict(json.loads(story.answers[50][0]), created="2026-02-03T00:00:00.000Z", client_seq=3, client_prev=to_base64(bytes(32)))
    seed = story.answers[50][1]
    signed = LedgerStory(300)
    root, log2 = field_tree(document, seed)
    signed.entries[50]["declared"] = {"root": to_base64(root), "log2": log2}
    signed.answers[50] = (jcs(document).decode(), seed)
    whole = answer(signed, 50, Tree(signed.leaves()), 300, SIGNER)
    name = document["agent"] + "=" + to_base64(ed25519.public_key(AGENT_SEED))

    def header(statement_bytes):
        return 'keyid="00", sig="%s"' % to_base64(sign_statement(AGENT_SEED, statement_bytes))

    true = statement(document, root, SIGNER.name)
    whole["request"]["headers"] = {"foreseal-signature": header(true)}
    report = judge("a signed intent", 0, [whole], "--agent-key", name)
    tally.equal("the signature was checked", report["facts"]["with_signature"], 1)
    report = judge("a signed intent without the key", 0, [whole])
    tally.equal("then it was not checked", report["facts"]["with_signature"], 0)
    judge("a key that is none", 2, [whole], "--agent-key", "agent=x")
    for what, wrong in {
        "another log": statement(document, root, "other"), "another root": statement(document, bytes(32), SIGNER.name), "another counter": statement(dict(document, client_seq=4), root, SIGNER.name),
        "nothing": b"",
    }.items():  # fmt: skip
        whole["request"]["headers"] = {"Foreseal-Signature": header(wrong)}
        judge("a signature over " + what, 1, [whole], "--agent-key", name)
    whole["request"]["headers"] = {"Foreseal-Signature": "sig=x"}
    judge("a malformed signature", 1, [whole], "--agent-key", name)
    tally.equal("DSSE PAE", pae("http://example.com/HelloWorld", b"hello world"), b"DSSEv1 29 http://example.com/HelloWorld 11 hello world")


def _fields(tally):
    """The tree is a function of the document alone, and every field counts."""
    seed = bytes(32)
    for other in ({}, [], [1], "text", 5, None):
        tally.refused("a field tree of %r" % (other,), field_tree, other, seed)
    tally.equal("log2 of one field and the shape", field_tree({"a": 1}, seed)[1], 1)
    tally.equal("log2 of three fields and the shape", field_tree({"a": [1, 2, 3]}, seed)[1], 2)
    tally.equal("log2 of four fields and the shape", field_tree({"a": [1, 2, 3, 4]}, seed)[1], 3)
    tally.equal("4,096 fields fit", field_tree({"a": [0] * 4096}, seed)[1], 13)
    tally.refused("4,097 fields", field_tree, {"a": [0] * 4097}, seed)
    # 2,028 paths of 517 bytes and one of 100 are 1,048,576.
    inner = {"%04d" % i: 0 for i in range(2028)}
    tally.equal("paths of 1 MiB together fit", field_tree({"n" * 511: inner, "b" * 99: 0}, seed)[1], 11)
    tally.refused("paths of a byte more", field_tree, {"n" * 511: inner, "b" * 100: 0}, seed)
    documents = [{"a": 1}, {"a": 1.5}, {"a": "1"}, {"a": [1]}, {"a": {"0": 1}}, {"a": []}, {"a": {}}, {"a": None}, {"a": False}, {"a/b": 1}, {"a": {"b": 1}}, {"a~1b": 1}, {"a": 1, "b": 2}, {"b": 1, "a": 2}]
    roots = {field_tree(document, seed)[0] for document in documents}
    tally.equal("different documents, different roots", len(roots), len(documents))
    _objects_like_arrays(tally, seed)
    tally.holds("another seed, another root", field_tree({"a": 1}, bytes([1]) * 32)[0] not in roots)
    tally.equal("key order does not matter", field_tree({"b": 1, "a": {"d": 1, "c": 2}}, seed), field_tree({"a": {"c": 2, "d": 1}, "b": 1}, seed))
    call = {"id": "x", "tool": "t", "args": {"b": 1, "a": 2}}
    same = call_digest(seed, 0, dict(call, server="", id="y", after=["z"]))
    tally.equal("only server, tool and args are digested", call_digest(seed, 0, call), same)
    others = {call_digest(seed, 1, call), call_digest(bytes([1]) * 32, 0, call), call_digest(seed, 0, dict(call, server="s")), call_digest(seed, 0, dict(call, tool="u")), call_digest(seed, 0, dict(call, args={}))}
    tally.equal("each of them, the seed and the position count", len(others - {same}), 5)
    tally.refused("a statement without an id", statement, {"agent": "a"}, bytes(32), "log", by=Invalid)


def _objects_like_arrays(tally, seed):
    """{"a":[1]} and {"a":{"0":1}} have the same fields; the shape names the object."""
    pairs = (
        ({"a": [1]}, {"a": {"0": 1}}, ["/a"]),
        ({"a": [[1]]}, {"a": [{"0": 1}]}, ["/a/0"]),
        ({"a": [[1]]}, {"a": {"0": [1]}}, ["/a"]),
        ({"a": [{"0": 1}]}, {"a": {"0": {"0": 1}}}, ["/a", "/a/0"]),
        ({"a/b": list(range(11))}, {"a/b": {str(i): i for i in range(11)}}, ["/a~1b"]),
    )
    for array, object_, named in pairs:
        (_, shape), *fields = document_fields(object_)
        tally.equal("%r names %r" % (object_, named), shape[-1], {"objects": named})
        tally.equal("and has the fields of %r" % array, fields, document_fields(array)[1:])
        tally.holds("and another root", field_tree(array, seed) != field_tree(object_, seed))
    for plain in ({"a": {"1": 1}}, {"a": {"00": 1}}, {"a": {"0": 1, "b": 2}}, {"a": {"0": 1, "2": 2}}, {"0": 1}, {"a": {}}, {"a": [1, [2]]}):
        tally.holds("%r names no object" % plain, not any(isinstance(item, dict) for item in document_fields(plain)[0][1]))


def _any_shape(tally, made):
    """Whatever stands where something else should, there is a verdict and no crash."""
    dice, trust = random.Random(201), Trust.from_vkey(SIGNER.vkey)
    oddities = (None, True, -1, 0, 2**53 - 1, 1.5, "", "x", [], {}, [[]], [None], {"seed": 1}, [{"outcome": []}], "\ud800")
    crashes, entry = [], json.loads(base64.b64decode(made[8]["entry"]))
    for _ in range(1500):
        line = copy.deepcopy(made[dice.randrange(len(made))])
        _disturb(line, dice, dice.choice(oddities))
        leaf = copy.deepcopy(entry)
        _disturb(leaf, dice, dice.choice(oddities[:-1]))
        try:
            AnswerChecker(trust, Report()).check("fuzz", line)
            LinkChecker().feed(jcs(leaf))
        except Exception as error:
            crashes.append("%s: %s" % (type(error).__name__, error))
    tally.equal("no answer and no leaf makes the verifier crash", crashes, [])


def _disturb(value, dice, oddity):
    """Replaces one random node below `value`."""
    while True:
        key = dice.choice(list(value) if isinstance(value, dict) else range(len(value)))
        if isinstance(value[key], (dict, list)) and value[key] and dice.random() < 0.7:
            value = value[key]
            continue
        value[key] = oddity
        return
