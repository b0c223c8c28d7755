"""Ask Foreseal before an agent acts. Standard library only; paste it where you need it.

    answer = seal(url, token, intent)            # sealed, durable, decided
    result = guarded_call(url, token, intent, "c1", send_email)

Nothing runs unless the answer says `allow` for the intent and for the call. A
service that is down, slow, or unclear is a no: every failure is a `NotAllowed`.
"""

import datetime
import http.client
import json
import os
import random
import time
import urllib.parse

OUTCOMES = ("allow", "modify", "hold", "defer", "deny")
MAX_ANSWER_BYTES = 4 << 20
# Worth another try with the same id: the service refused before sealing, or cannot say.
RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)


class NotAllowed(Exception):
    """The tool was not run. `answer` is the sealed decision, or None if there is none."""

    def __init__(self, message, answer=None):
        super().__init__(message)
        self.answer = answer


def new_id():
    """A UUIDv7. Made by the client, so that a retry is the same intent and not a second one."""
    millis = time.time_ns() // 1_000_000
    number = millis << 80 | 7 << 76 | int.from_bytes(os.urandom(2), "big") % 4096 << 64
    number |= 0b10 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    text = "%032x" % number
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _post(url, headers, body, timeout):
    """One attempt; (status, headers, bytes). Redirects are not followed: the token stays here."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotAllowed("%s is not an http or https URL" % url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("POST", parts.path.rstrip("/") + "/v1/intents", body=body, headers=headers)
        response = connection.getresponse()
        data = response.read(MAX_ANSWER_BYTES + 1)
        if len(data) > MAX_ANSWER_BYTES:
            raise NotAllowed("the answer is larger than %d bytes" % MAX_ANSWER_BYTES)
        return response.status, response.headers, data
    finally:
        connection.close()


def _pause(attempt, retry_after, deadline):
    """Sleeps before the next attempt, with jitter; False if there is no time left for it."""
    wait = 0.1 * 2**attempt * random.uniform(0.5, 1.5)
    if retry_after and retry_after.isascii() and retry_after.isdigit():
        wait = max(wait, float(retry_after))
    if time.monotonic() + wait >= deadline:
        return False
    time.sleep(wait)
    return True


def seal_bytes(url, token, body, headers=None, timeout=5.0, attempts=4, patience=15.0):
    """Sends a declared document as it is; returns the answer's bytes (HTTP 201).

    `timeout` is for one attempt, `patience` for all of them, in seconds. Every
    attempt sends the same bytes, so the document must carry its `id`.
    """
    sent = {"Content-Type": "application/json", "Authorization": "Bearer " + token, **(headers or {})}
    deadline, trouble = time.monotonic() + patience, "no attempt was made"
    for attempt in range(attempts):
        retry_after = None
        try:
            status, received, data = _post(url, sent, body, min(timeout, max(0.1, deadline - time.monotonic())))
        except (OSError, http.client.HTTPException) as error:
            trouble = "%s: %s" % (type(error).__name__, error)
        else:
            if status == 201:
                return data
            trouble = "HTTP %d: %s" % (status, data[:300].decode("utf-8", "replace"))
            if status not in RETRY_STATUS:
                break
            retry_after = received.get("Retry-After")
        if attempt + 1 == attempts or not _pause(attempt, retry_after, deadline):
            break
    raise NotAllowed("the intent was not sealed, as far as is known: " + trouble)


def read_answer(data, intent):
    """The parsed answer, if it is one and answers this intent."""
    try:
        answer = json.loads(data)
        decision, asked = answer["decision"], intent["calls"]
        told = {call["id"]: call["outcome"] for call in decision["calls"]}
        complete = len(decision["calls"]) == len(asked) and set(told) == {call["id"] for call in asked}
        sensible = all(outcome in OUTCOMES for outcome in (decision["outcome"], *told.values()))
    except (ValueError, KeyError, TypeError) as error:
        raise NotAllowed("the answer cannot be read: %s" % error) from None
    if answer.get("id") != intent["id"] or not complete or not sensible or not answer.get("receipt"):
        raise NotAllowed("the answer does not answer this intent", answer)
    return answer


def seal(url, token, intent, **limits):
    """Seals an intent (a dict with agent, session, calls, …) and returns the answer.

    Gives `intent` an `id` if it has none. A denial is an answer too; raises
    NotAllowed where there is no answer.
    """
    intent.setdefault("id", new_id())
    body = json.dumps(intent, ensure_ascii=False, allow_nan=False).encode("utf-8")
    return read_answer(seal_bytes(url, token, body, **limits), intent)


def check_allowed(answer, call_id):
    """Raises NotAllowed unless this answer lets this very call run now."""
    decision = answer["decision"]
    verdict = next((call for call in decision["calls"] if call["id"] == call_id), None)
    if verdict is None:
        raise NotAllowed("the decision does not speak of call %r" % call_id, answer)
    for outcome in (decision["outcome"], verdict["outcome"]):
        if outcome != "allow":
            reasons = "; ".join(str(r.get("message", r)) for r in decision.get("reasons", []) if isinstance(r, dict))
            raise NotAllowed("%s%s" % (outcome, ": " + reasons if reasons else ""), answer)
    for expires in (decision.get("expires"), verdict.get("expires")):
        if expires is not None and _is_past(expires):
            raise NotAllowed("the permission expired at %s" % expires, answer)


def _is_past(moment):
    try:
        when = datetime.datetime.strptime(moment, "%Y-%m-%dT%H:%M:%S.%fZ")
    except (TypeError, ValueError):
        return True  # what cannot be read does not permit
    return when.replace(tzinfo=datetime.timezone.utc) <= datetime.datetime.now(datetime.timezone.utc)


def guarded_call(url, token, intent, call_id, tool, **limits):
    """Seals `intent`; if its call `call_id` is allowed, runs tool(**args) and returns the result.

    The arguments are taken from what was sealed, so what runs is what was
    judged. Raises NotAllowed otherwise; the tool has then not run.
    """
    intent.setdefault("id", new_id())
    body = json.dumps(intent, ensure_ascii=False, allow_nan=False).encode("utf-8")
    # A copy: nobody changes the arguments while the service decides.
    sealed = json.loads(body)
    call = next((call for call in sealed["calls"] if call["id"] == call_id), None)
    if call is None:
        raise NotAllowed("the intent has no call %r" % call_id)
    check_allowed(read_answer(seal_bytes(url, token, body, **limits), sealed), call_id)
    return tool(**call["args"])
