"""Foreseal's leaves: what one must look like, and how they refer to each other (docs/format.md)."""

import collections
import datetime
import re

from .canonical import parse_canonical, unbase64
from .outcome import Invalid

MAX_ENTRY_BYTES = 65535
MAX_CALLS = 64
MAX_LOG2 = 13  # 4,096 fields and the shape
VERSION = 1
STRICTNESS = ("allow", "modify", "hold", "defer", "deny")
REFUSED_STATUS = ("400", "401", "403", "409", "413", "429", "503")
# Ids remembered to notice one intent sealed twice; bounded, oldest forgotten first.
IDS_REMEMBERED = 1_000_000
MAY_RUN = ("allow", "modify")
LABELS = ("untrusted",)
SESSIONS_MAX = 100_000
SESSION_IDLE = datetime.timedelta(hours=24)

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z\Z", re.ASCII)
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def is_time(value):
    """RFC 3339 UTC with exactly milliseconds; such texts order as they read."""
    match = isinstance(value, str) and _TIME.match(value)
    if not match:
        return False
    year, month, day, hour, minute, second, _ = map(int, match.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= month <= 12 and 1 <= day <= days[month - 1] and hour < 24 and minute < 60 and second < 60 and year >= 1970


def _moment(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")


def is_index(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse_entry(data):
    """A leaf as an object with `v` and `type`; raises Invalid. Its type may be unknown."""
    if len(data) > MAX_ENTRY_BYTES:
        raise Invalid("the entry has %d bytes, more than %d" % (len(data), MAX_ENTRY_BYTES))
    entry = parse_canonical(data)
    if not isinstance(entry, dict):
        raise Invalid("the entry is not a JSON object")
    if not is_index(entry.get("v")) or not isinstance(entry.get("type"), str):
        raise Invalid("the entry has no version and type")
    return entry


def is_understood(entry):
    return entry["v"] == VERSION and entry["type"] in MEMBERS


def _index(value, what):
    if not is_index(value):
        raise Invalid("%s is not a whole number" % what)


def _time(value, what):
    if not is_time(value):
        raise Invalid("%s is not a UTC time with milliseconds" % what)


def _id(value, what):
    if not isinstance(value, str) or not _UUID7.match(value):
        raise Invalid("%s is not a UUIDv7 in lower case" % what)


def _one_of(*allowed):
    def check(value, what):
        if not isinstance(value, str) or value not in allowed:
            raise Invalid("%s is not one of %s" % (what, ", ".join(allowed)))

    return check


def _base64(length):
    return lambda value, what: unbase64(value, what, length)


def _members(value, what, required, optional=None):
    """Exactly these members, each of its kind."""
    if not isinstance(value, dict):
        raise Invalid("%s is not an object" % what)
    for name in required:
        if name not in value:
            raise Invalid("%s lacks %r" % (what, name))
    for name, inner in value.items():
        check = required.get(name) or (optional or {}).get(name)
        if check is None:
            raise Invalid("%s has %r, which is not known" % (what, name))
        check(inner, "%r of %s" % (name, what))


def _commitment(value, what):
    _members(value, what, {"root": _base64(32), "log2": _index})
    if not 1 <= value["log2"] <= MAX_LOG2:
        raise Invalid("the log2 of %s is out of range" % what)


def _calls(value, what):
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_CALLS:
        raise Invalid("%s are not 1 to %d calls" % (what, MAX_CALLS))
    for number, call in enumerate(value):
        _members(call, "call %d" % number, {"outcome": _one_of(*STRICTNESS), "digest": _base64(32)})


def _false(value, what):
    if value is not False:
        raise Invalid("%s is false or absent" % what)


def _counts(value, what):
    _members(value, what, dict.fromkeys(REFUSED_STATUS, _index))


def _delta(value, what):
    _members(value, what, {"labels": _labels})


def _labels(value, what):
    if not isinstance(value, list) or not value or any(label not in LABELS for label in value):
        raise Invalid("%s are not labels" % what)
    if value != sorted(set(value)):
        raise Invalid("%s are not sorted, or there is one twice" % what)


REGISTRATION = {"operation": _one_of("register", "rotate", "revoke"), "by": _index}

# Of each type that is understood: the members it must have, and those it may have.
MEMBERS = {
    "intent": (
        {"agent": _index, "session": _base64(16), "seq": _index, "declared": _commitment, "evaluation": _commitment,
         "outcome": _one_of(*STRICTNESS), "calls": _calls, "engine": _index},
        {"atomic": _false, "prev": _index, "signer": _index, "expires": _time, "policy": _index, "delta": _delta},
    ),
    "operator": ({"operation": _one_of("register"), "declared": _commitment}, {}),
    "agent": (REGISTRATION, {"agent": _index, "declared": _commitment, "key": _base64(32)}),
    "application": (REGISTRATION, {"application": _index, "declared": _commitment}),
    "tool": (REGISTRATION, {"tool": _index, "declared": _commitment}),
    "session": ({"agent": _index, "application": _index, "session": _base64(16), "declared": _commitment}, {}),
    "turn": ({"application": _index, "opened": _index, "session": _base64(16), "declared": _commitment}, {}),
    "outcome": (
        {"tool": _index, "intent": _index, "call": _index, "session": _base64(16), "status": _one_of("ok", "error"),
         "result": _base64(32), "declared": _commitment},
        {},
    ),
    "policy": (
        {"by": _index, "mode": _one_of("enforce", "shadow", "withdraw")},
        {"rules": _index, "declared": _commitment, "restores": _index, "ends": _index},
    ),
    "key": ({"by": _index, "purpose": _one_of("bundle"), "key": _base64(32)}, {"replaces": _index}),
    "export": ({"by": _index, "from": _index, "to": _index, "declared": _commitment}, {}),
    "refused": ({"since": _time, "counts": _counts}, {}),
}  # fmt: skip


def check_members(entry):
    """The members of an entry that is understood; raises Invalid."""
    required, optional = MEMBERS[entry["type"]]
    common = {"v": lambda *_: None, "type": lambda *_: None, "id": _id, "at": _time}
    _members(entry, "the entry", {**common, **required}, optional)


def check_intent(entry):
    """The members of an `intent` entry, and what they say of each other; raises Invalid."""
    check_members(entry)
    mildest = min(STRICTNESS.index(call["outcome"]) for call in entry["calls"])
    strictest = max(STRICTNESS.index(call["outcome"]) for call in entry["calls"])
    if STRICTNESS.index(entry["outcome"]) < strictest:
        raise Invalid("its outcome is milder than that of one of its calls")
    if "policy" not in entry and mildest < STRICTNESS.index("deny"):
        raise Invalid("an intent that no policy decided can only be denied")
    if "expires" in entry and entry["expires"] < entry["at"]:
        raise Invalid("it expires before it was sealed")


class LinkChecker:
    """Reads a log's entries in order and checks every link that leaves alone can show."""

    def __init__(self):
        self.types = collections.Counter()
        self.outcomes = collections.Counter()
        self.not_understood = collections.Counter()
        self.operators = set()
        self.agents = {}  # index of the registration -> _Agent
        self.applications = {}  # index of the registration -> whether it is revoked
        self.tools = {}
        self.sessions = {}  # tag -> _Session
        self.intents = collections.OrderedDict()  # index -> (tag, what its calls may, calls with an outcome)
        self.policy = None
        self.shadow = None
        self.policies_that_decided = set()
        self.bundle_key = None
        self.ids = collections.OrderedDict()
        self.intents_forgotten = False
        self.last_at = ""
        self.next_index = 0

    def feed(self, data):
        """Checks the next leaf; returns a list of problems, empty when there is none."""
        index, problems = self.next_index, []
        self.next_index += 1
        try:
            entry = parse_entry(data)
        except Invalid as error:
            return [str(error)]
        kind = entry["type"]
        if not is_understood(entry):
            self.types["(unknown)"] += 1
            self.not_understood["%s v%d" % (kind[:64], entry["v"])] += 1
            return ["leaf 0 is %r, not the first operator" % kind[:64]] if index == 0 else problems
        self.types[kind] += 1
        if index == 0 and kind != "operator":
            problems.append("leaf 0 is %r, not the first operator" % kind)
        try:
            check_intent(entry) if kind == "intent" else check_members(entry)
        except Invalid as error:
            return [*problems, str(error)]
        if entry["at"] < self.last_at:
            problems.append("its time %s lies before the previous leaf's %s" % (entry["at"], self.last_at))
        self.last_at = max(entry["at"], self.last_at)
        if "by" in entry and entry["by"] not in self.operators:
            problems.append("its by is leaf %d, which registers no operator" % entry["by"])
        if kind == "operator":
            self.operators.add(index)
        elif kind == "policy":
            self._policy(index, entry, problems)
        elif kind == "key":
            if entry.get("replaces") != self.bundle_key:
                problems.append("it replaces the key of %r, the present one is of %r" % (entry.get("replaces"), self.bundle_key))
            self.bundle_key = index
        elif kind == "export":
            if not entry["from"] < entry["to"] <= index:
                problems.append("leaves %d to %d are no range of what lies before it" % (entry["from"], entry["to"]))
        elif kind == "agent":
            self._agent(index, entry, problems)
        elif kind == "intent":
            self._intent(index, entry, problems)
        elif kind == "application":
            self._registration(index, entry, self.applications, problems)
        elif kind == "tool":
            self._registration(index, entry, self.tools, problems)
        elif kind == "session":
            self._session(index, entry, problems)
        elif kind == "turn":
            self._turn(entry, problems)
        elif kind == "outcome":
            self._outcome(index, entry, problems)
        return problems

    def _policy(self, index, entry, problems):
        mode, ends = entry["mode"], entry.get("ends")
        if any((name in entry) == (mode == "withdraw") for name in ("rules", "declared")):
            problems.append("a bundle has a record and a number of rules, a withdrawal neither")
        if "restores" in entry and (mode != "enforce" or entry["restores"] not in self.policies_that_decided):
            problems.append("it restores leaf %d, which made no bundle decide" % entry["restores"])
        if mode == "withdraw" and ends is None or ends != self.shadow and (mode != "enforce" or ends is not None):
            problems.append("it ends the shadow of %r, in shadow is %r" % (ends, self.shadow))
        if ends is not None:
            self.shadow = None
        if mode == "shadow":
            self.shadow = index
        elif mode == "enforce":
            self.policy = index
            self.policies_that_decided.add(index)

    def _registration(self, index, entry, known, problems):
        kind = entry["type"]
        if entry["operation"] == "register":
            if kind in entry or "declared" not in entry:
                problems.append("a registration carries its record and names no %s" % kind)
            known[index] = False
            return
        if known.get(entry.get(kind)) is not False:
            problems.append("it names no %s that is registered and not revoked" % kind)
            return
        if ("declared" in entry) == (entry["operation"] == "revoke"):
            problems.append("a rotation has a record and a revocation has none")
        if entry["operation"] == "revoke":
            known[entry[kind]] = True
            if kind == "application":
                self._close(lambda session: session.application == entry[kind])

    def _close(self, of):
        self.sessions = {tag: session for tag, session in self.sessions.items() if not of(session)}

    def _open_session(self, entry, touch=True):
        """The session that the entry is in, if an application opened it and it has not lapsed."""
        session = self.sessions.get(entry["session"])
        if session is None:
            return None
        at = _moment(entry["at"])
        if at - session.last_at > SESSION_IDLE:
            del self.sessions[entry["session"]]
            return None
        if touch:
            session.last_at = at
        return session

    def _session(self, index, entry, problems):
        agent = self.agents.get(entry["agent"])
        if agent is None or agent.revoked:
            problems.append("its agent is leaf %d, which registers none, or one that was revoked" % entry["agent"])
        if self.applications.get(entry["application"]) is not False:
            problems.append("its application is leaf %d, which registers none, or one that was revoked" % entry["application"])
        session = self._open_session(entry, touch=False)
        if session is not None:
            problems.append("its session is open since leaf %d" % session.opened)
        at = _moment(entry["at"])
        if len(self.sessions) >= SESSIONS_MAX:
            self._close(lambda session: at - session.last_at > SESSION_IDLE)
            if len(self.sessions) >= SESSIONS_MAX:
                problems.append("%d sessions are open" % SESSIONS_MAX)
        self.sessions[entry["session"]] = _Session(index, entry["agent"], entry["application"], at)

    def _turn(self, entry, problems):
        session = self._open_session(entry)
        if session is None or session.opened != entry["opened"] or session.application != entry["application"]:
            problems.append("its application has not opened the session that it names")

    def _outcome(self, index, entry, problems):
        self._open_session(entry)
        if self.tools.get(entry["tool"]) is not False:
            problems.append("its tool server is leaf %d, which registers none, or one that was revoked" % entry["tool"])
        if entry["intent"] >= index:
            problems.append("its intent is not before it")
        elif entry["intent"] in self.intents:
            tag, outcomes, reported = self.intents[entry["intent"]]
            call = entry["call"]
            if tag != entry["session"] or call >= len(outcomes) or outcomes[call] not in MAY_RUN:
                problems.append("it is no outcome of a call of leaf %d that may run, or of another session" % entry["intent"])
            elif call in reported:
                problems.append("an outcome of this call was sealed before")
            reported.add(call)
        elif not self.intents_forgotten:
            problems.append("leaf %d is no intent" % entry["intent"])
        elif entry["call"] >= MAX_CALLS:
            problems.append("no intent has a call %d" % entry["call"])

    def _agent(self, index, entry, problems):
        if entry["operation"] == "register":
            if "agent" in entry or "declared" not in entry:
                problems.append("a registration carries its record and names no agent")
            self.agents[index] = _Agent(index if "key" in entry else None)
            return
        agent = self.agents.get(entry.get("agent"))
        if agent is None:
            problems.append("it names no registered agent")
            return
        if agent.revoked:
            problems.append("agent %d was revoked before" % entry["agent"])
        if entry["operation"] == "revoke":
            agent.revoked = True
            self._close(lambda session: session.agent == entry["agent"])
            if "declared" in entry or "key" in entry:
                problems.append("a revocation has a record or a key")
        else:
            if "declared" not in entry:
                problems.append("a rotation lacks its record")
            if "key" in entry:
                agent.signer = index

    def _intent(self, index, entry, problems):
        session = self._open_session(entry)
        if session is not None and session.agent != entry["agent"]:
            problems.append("its session is agent %d's" % session.agent)
        stopped = entry["outcome"] not in MAY_RUN and "atomic" not in entry
        calls = ["deny" if stopped else call["outcome"] for call in entry["calls"]]
        self.intents[index] = (entry["session"], calls, set())
        if len(self.intents) > IDS_REMEMBERED:
            self.intents.popitem(last=False)
            self.intents_forgotten = True
        self.outcomes[entry["outcome"]] += 1
        self._once(index, entry, problems)
        if entry.get("policy") != self.policy:
            problems.append("it was decided under %r, active is %r" % (entry.get("policy"), self.policy))
        agent = self.agents.get(entry["agent"])
        if agent is None:
            problems.append("its agent is leaf %d, which registers no agent before it" % entry["agent"])
            return
        if agent.revoked:
            problems.append("agent %d was revoked before" % entry["agent"])
        if "signer" in entry and entry["signer"] != agent.signer:
            problems.append("its signer is leaf %d, the agent's key is of %r" % (entry["signer"], agent.signer))
        if entry["seq"] != agent.count:
            problems.append("its seq is %d, the agent's next is %d" % (entry["seq"], agent.count))
        if entry.get("prev") != agent.last:
            problems.append("its prev is %r, the agent's last intent is %r" % (entry.get("prev"), agent.last))
        # Continue from what the leaf says, so that one gap is told once and not for ever.
        agent.count, agent.last = entry["seq"] + 1, index

    def _once(self, index, entry, problems):
        name = (entry["agent"], bytes.fromhex(entry["id"].replace("-", "")))
        if name in self.ids:
            problems.append("intent %s of this agent is already leaf %d" % (entry["id"], self.ids[name]))
        self.ids[name] = index
        if len(self.ids) > IDS_REMEMBERED:
            self.ids.popitem(last=False)


class _Agent:
    """One agent's place in the log."""

    def __init__(self, signer):
        self.signer, self.count, self.last, self.revoked = signer, 0, None, False


class _Session:
    """A session that an application opened."""

    def __init__(self, opened, agent, application, last_at):
        self.opened, self.agent, self.application, self.last_at = opened, agent, application, last_at
