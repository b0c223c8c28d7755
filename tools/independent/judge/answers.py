"""`verifier.py receipts`: the answers that a Foreseal service gave."""

import os
import re

from .canonical import parse, to_base64, unbase64
from .entries import check_intent, is_understood, parse_entry
from .fields import call_digest, check_statement, field_tree, statement
from .outcome import Invalid, Undecided
from .proof import check_receipt

_SIGNATURE_HEADER = re.compile(r'(?:keyid="[0-9a-fA-F]*"\s*,\s*)?sig="([A-Za-z0-9+/=]+)"\s*\Z')
_FILE_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")


class AnswerChecker:
    """Checks answers one by one and remembers enough to see two that contradict each other."""

    def __init__(self, trust, report, declared_dir=None, agent_keys=None):
        self.trust, self.report = trust, report
        self.declared_dir, self.agent_keys = declared_dir, agent_keys or {}
        self.roots = {}  # (origin, size) -> root
        self.leaves = {}  # (origin, index) -> entry bytes
        self.intents = {}  # (origin, agent, id) -> index
        self.checkpoints = []  # (where, bytes), for a comparison with the log
        self.valid = self.with_body = self.with_signature = 0

    def check(self, where, line):
        """One parsed line; what is wrong goes to the report."""
        try:
            self._answer(where, line)
        except Invalid as error:
            self.report.failed("answer", "%s: %s" % (where, error))
        except Undecided as error:
            self.report.undecided("answer", "%s: %s" % (where, error))
        else:
            self.valid += 1

    def _answer(self, where, line):
        if not isinstance(line, dict):
            raise Undecided("not a JSON object")
        answer = line["answer"] if isinstance(line.get("answer"), dict) else line
        if "receipt" not in answer or "entry" not in answer:
            raise Undecided("not an answer: it has no receipt or no entry")
        if not isinstance(answer["receipt"], str):
            raise Invalid("the receipt is not a string")
        entry_bytes = unbase64(answer["entry"], "the entry")
        receipt = answer["receipt"].encode("utf-8", "surrogatepass")
        proof, checkpoint = check_receipt(receipt, entry_bytes, self.trust, self.report)
        # Only now, proven to be what the log holds, is the entry looked into.
        entry = parse_entry(entry_bytes)
        self._remember(where, proof, checkpoint, entry, entry_bytes)
        self.report.unchecked("reasons and conditions: they need the evaluation's opening")
        if not is_understood(entry) or entry["type"] != "intent":
            raise Undecided("the entry is a %s v%d, not an intent that this tool understands" % (entry["type"], entry["v"]))
        check_intent(entry)
        self._against_entry(answer, proof, entry)
        self._against_body(line, answer, entry, checkpoint.origin)
        if answer.get("permits"):
            self.report.unchecked("permits (JWS)")

    def _remember(self, where, proof, checkpoint, entry, entry_bytes):
        log = checkpoint.origin
        self.checkpoints.append((where, proof.checkpoint))
        if self.roots.setdefault((log, checkpoint.size), checkpoint.root) != checkpoint.root:
            raise Invalid("another answer's receipt has another root for size %d: the log forked" % checkpoint.size)
        if self.leaves.setdefault((log, proof.index), entry_bytes) != entry_bytes:
            raise Invalid("another answer's receipt proves another leaf at index %d: the log forked" % proof.index)
        if isinstance(entry.get("id"), str) and isinstance(entry.get("agent"), int):
            index = self.intents.setdefault((log, entry["agent"], entry["id"]), proof.index)
            if index != proof.index:
                raise Invalid("intent %s of this agent is also leaf %d: sealed twice" % (entry["id"], index))

    def _against_entry(self, answer, proof, entry):
        """Id, index and verdicts of the answer must be the entry's."""
        if answer.get("id") != entry["id"]:
            raise Invalid("the answer's id is not the entry's")
        index = answer.get("index")
        if index != proof.index or isinstance(index, bool) or not isinstance(index, int):
            raise Invalid("the answer's index is not the receipt's")
        decision = answer.get("decision")
        if not isinstance(decision, dict) or not isinstance(decision.get("calls"), list):
            raise Invalid("the answer has no decision with calls")
        if decision.get("outcome") != entry["outcome"]:
            raise Invalid("the answer says %r, the entry %r" % (decision.get("outcome"), entry["outcome"]))
        if len(decision["calls"]) != len(entry["calls"]):
            raise Invalid("the answer has another number of calls than the entry")
        for number, (told, sealed) in enumerate(zip(decision["calls"], entry["calls"])):
            if not isinstance(told, dict) or told.get("outcome") != sealed["outcome"]:
                raise Invalid("the answer's verdict on call %d is not the entry's" % number)
            if "digest" in told and told["digest"] != sealed["digest"]:
                raise Invalid("the answer's digest of call %d is not the entry's" % number)
        if "expires" in decision and decision["expires"] != entry.get("expires"):
            raise Invalid("the answer expires at another time than the entry")

    def _body(self, request, entry):
        if isinstance(request.get("body"), str):
            return request["body"].encode("utf-8", "surrogatepass")
        if self.declared_dir and _FILE_NAME.match(entry["id"]):
            try:
                with open(os.path.join(self.declared_dir, entry["id"] + ".json"), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise Undecided("the declared document cannot be read: %s" % error) from None
        return None

    def _against_body(self, line, answer, entry, origin):
        """The declared document, with its seed, must be what the entry commits to."""
        request = line["request"] if isinstance(line.get("request"), dict) else {}
        body = self._body(request, entry)
        if body is None:
            self.report.unchecked("declared documents that were not given: what was asked, and the call digests")
            return
        seed = declared_seed(answer, request)
        document = parse(body)
        if not isinstance(document, dict):
            raise Invalid("the declared document is not an object")
        root, log2 = field_tree(document, seed)
        if to_base64(root) != entry["declared"]["root"] or log2 != entry["declared"]["log2"]:
            raise Invalid("the entry commits to another document than the one declared")
        if "id" in document and document["id"] != entry["id"]:
            raise Invalid("the declared id is not the entry's")
        self._calls(document, seed, answer, entry)
        self.with_body += 1
        self._signature(request, document, root, origin)

    def _calls(self, document, seed, answer, entry):
        calls = document.get("calls")
        if not isinstance(calls, list) or len(calls) != len(entry["calls"]):
            raise Invalid("the declared document has another number of calls than the entry")
        for number, (call, sealed) in enumerate(zip(calls, entry["calls"])):
            if not isinstance(call, dict) or not isinstance(call.get("args"), dict) or "tool" not in call:
                raise Invalid("declared call %d has no tool and args" % number)
            told = answer["decision"]["calls"][number]
            if "id" in told and told["id"] != call.get("id"):
                raise Invalid("the answer names call %d otherwise than the declared document" % number)
            if sealed["outcome"] == "modify":
                # The answer says with which arguments it may run; the digest is of those.
                if not isinstance(told.get("args"), dict):
                    raise Invalid("call %d was modified, and the answer does not say into what" % number)
                call = {**call, "args": told["args"]}
            if to_base64(call_digest(seed, number, call)) != sealed["digest"]:
                raise Invalid("the digest of call %d is not that of the call declared" % number)

    def _signature(self, request, document, root, origin):
        header = request.get("signature")
        if header is None and isinstance(request.get("headers"), dict):
            header = {k.lower(): v for k, v in request["headers"].items()}.get("foreseal-signature")
        if header is None:
            self.report.unchecked("agents' signatures: none were given")
            return
        agent = document.get("agent")
        key = self.agent_keys.get(agent) if isinstance(agent, str) else None
        if key is None:
            self.report.unchecked("signatures of agents whose key was not given (--agent-key)")
            return
        match = _SIGNATURE_HEADER.match(header) if isinstance(header, str) else None
        if not match:
            raise Invalid("the Foreseal-Signature is malformed")
        signature = unbase64(match.group(1), "the agent's signature", 64)
        check_statement(key, statement(document, root, origin), signature)
        self.with_signature += 1

    def conclude(self):
        if self.valid:
            self.report.passed("answers", "%d proven in the log, equal to their leaves" % self.valid)
        if self.with_body:
            self.report.passed("declared", "%d equal, field for field and call for call, what was declared" % self.with_body)
        if self.with_signature:
            self.report.passed("signatures", "%d statements signed by their agents" % self.with_signature)
        self.report.facts.update(
            answers=self.valid, with_body=self.with_body, with_signature=self.with_signature, intents=len(self.intents)
        )


def declared_seed(answer, request):
    """The seed that opens the declared document: the service's, or the one the client brought."""
    opening = answer.get("opening")
    declared = opening.get("declared") if isinstance(opening, dict) else None
    seed = declared.get("seed") if isinstance(declared, dict) else declared
    brought = request.get("seed")
    if brought is None and isinstance(request.get("headers"), dict):
        brought = {k.lower(): v for k, v in request["headers"].items()}.get("foreseal-seed")
    if seed is None and brought is None:
        raise Undecided("the answer does not open the declared document (no seed)")
    if seed is not None and brought is not None and seed != brought:
        raise Invalid("the service used another seed than the client brought")
    return unbase64(brought if seed is None else seed, "the opening's seed", 32)


def read_answers(path):
    """Yields (where, object or Undecided) of a file with one answer a line, or one in all."""
    with open(path, "rb") as file:
        first = file.read(1 << 26)
        if len(first) < 1 << 26:
            try:
                whole = parse(first)
            except Invalid:
                pass
            else:
                yield path, whole
                return
        file.seek(0)
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield "%s line %d" % (path, number), parse(line)
                except Invalid as error:
                    yield "%s line %d" % (path, number), Undecided(str(error))
