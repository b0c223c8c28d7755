"""What a JSON Schema cannot say of a body, put right in bodies that are meant to be good.

An intent's agent is the one whose token is sent, the ids of its calls differ, `after` names calls of the same intent that
come before, its date is in the calendar; a public key is a point of the curve; a policy loads; a range has no more leaves
than a bundle takes. Bodies that are meant to be bad are left as they are.
"""
import base64, datetime, itertools, os, pathlib
import schemathesis

# RFC 8032, section 7.1, test 1.
KEY = base64.b64encode(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")).decode()
NUMBERS = itertools.count()
FOLDER = pathlib.Path(os.environ["SURFACE_POLICY"])
POLICY = {file.name: file.read_text() for file in sorted(FOLDER.iterdir())}


def exists(time):
    """September 31 fits a pattern; so does the last day of 9999 with an offset that leads beyond it."""
    try:
        datetime.date(int(time[:4]), int(time[5:7]), int(time[8:10]))
    except ValueError:
        return False
    return 1970 < int(time[:4]) < 9999


def intent(body):
    body["agent"] = "bot"
    if not exists(body.get("created", "2026-11-21")):
        body["created"] = "2026-11-21T10:00:00.000Z"
    known = []
    for call in body["calls"]:
        while call["id"] in known:
            call["id"] = ("%d" % len(known) + call["id"])[:128]
        if "after" in call:
            call["after"] = known[: len(call["after"])]
        known.append(call["id"])


def agent(body):
    if body.get("public_key") is not None:
        body["public_key"] = KEY


def export(body):
    """What is revealed is named by an intent's id, which no draw hits: all of it, or nothing."""
    if "reveal" in body:
        body["reveal"] = ["all"] if body["reveal"] else []
    if body["from"] >= body["to"]:
        body["from"], body["to"] = 0, 1
    # docs/limits.md: a bundle holds at most a million leaves.
    body["to"] = min(body["to"], body["from"] + 1_000_000)


def session(body):
    """Of an agent that exists, each its own: a session is opened once."""
    body["agent"] = "bot"
    body["session"] = "s-%d" % next(NUMBERS)
    turn(body)


def turn(body):
    """A plan's steps may say more than the description knows of; tests/ have those."""
    if "plan" in body:
        body["plan"] = {"steps": [{"server": "bank", "tool": "get_balance"}]}


def policy(body):
    body["files"] = POLICY


def rollback(body):
    """What there is to go back to cannot be drawn; what decides may always be named again."""
    body.pop("to", None)


REPAIRS = {
    "POST /v1/intents": intent,
    "POST /v1/agents": agent,
    "POST /v1/agents/{name}/rotate": agent,
    "POST /v1/exports": export,
    "POST /v1/policies": policy,
    "POST /v1/policies/rollback": rollback,
    "POST /v1/sessions": session,
    "POST /v1/sessions/{id}/turns": turn,
}


@schemathesis.hook
def before_call(context, case, kwargs):
    repair = REPAIRS.get(case.operation.label)
    if repair is None or case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.headers:
        # A signature that verifies cannot be drawn at random: tests/e2e/signed.rs has those.
        case.headers.pop("Foreseal-Signature", None)
        # schemathesis 4.32.5 draws the integer 0 where it sends one optional header alone, whatever the header's schema.
        if case.headers.get("Foreseal-Seed") == "0":
            case.headers.pop("Foreseal-Seed")
    if isinstance(case.body, dict):
        repair(case.body)
