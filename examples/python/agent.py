#!/usr/bin/env python3
"""One intent of a support agent, sealed before it acts.

    export FORESEAL_URL=http://127.0.0.1:8470
    export FORESEAL_TOKEN=$(foreseal agent add support-bot)     # with the admin token in place
    python3 agent.py
    foreseal verify receipt answer.json --trust DATA/trust.policy --intent intent.json

Exit codes: 0 allowed, 1 not allowed, 2 no answer.
"""

import json
import os
import sys

from foreseal_client import NotAllowed, check_allowed, new_id, read_answer, seal_bytes

INTENT = {
    "agent": "support-bot",
    "session": "ticket-4711",
    "environment": "prod",
    "principal": "user:alice@example.com",
    "goal": "My order 4711 arrived broken. Can you send another one?",
    "reasoning": [
        "The order exists and the photo shows the damage.",
        "A replacement is due; the warehouse has to know.",
    ],
    "observations": [
        {"source": "crm/list_orders", "call": "c0", "trust": "untrusted", "content": '{"order": "4711", "status": "delivered"}'},
    ],
    "calls": [
        {
            "id": "c1",
            "server": "mail",
            "tool": "send_email",
            "args": {"to": "warehouse@shop.example", "subject": "Order 4711", "body": "Arrived broken; please send another one."},
        }
    ],
}


def send_email(to, subject, body):
    """Stands for the real tool."""
    print("sent to %s: %s (%d characters)" % (to, subject, len(body)))


def main():
    url, token = os.environ.get("FORESEAL_URL", "http://127.0.0.1:8470"), os.environ.get("FORESEAL_TOKEN")
    if not token:
        print("FORESEAL_TOKEN is not set\nhint: foreseal agent add support-bot", file=sys.stderr)
        return 2
    intent = dict(INTENT, id=new_id())
    body = json.dumps(intent, ensure_ascii=False, indent=1).encode("utf-8")
    try:
        data = seal_bytes(url, token, body)
        # Both as bytes: evidence is what was sent and what came back.
        for name, content in (("intent.json", body), ("answer.json", data)):
            with open(name, "wb") as file:
                file.write(content)
        answer = read_answer(data, intent)
    except NotAllowed as error:
        print("no decision, so nothing runs: %s" % error, file=sys.stderr)
        return 2
    print("leaf %s: %s" % (answer["index"], answer["decision"]["outcome"]))
    for reason in answer["decision"].get("reasons", []):
        print("  %s: %s" % (reason.get("rule"), reason.get("message")))
    print("saved intent.json and answer.json")
    try:
        check_allowed(answer, "c1")
    except NotAllowed as error:
        print("not run: %s" % error)
        return 1
    send_email(**intent["calls"][0]["args"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
