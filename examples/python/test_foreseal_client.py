"""What the client promises: nothing runs unless a clear `allow` came back. Run: python3 -m unittest"""

import http.server
import json
import re
import threading
import unittest

import foreseal_client as client

INTENT = {"agent": "bot", "session": "s", "calls": [{"id": "c1", "tool": "send", "args": {"to": "bob", "n": 1}}]}
FAST = {"timeout": 0.5, "attempts": 3, "patience": 3.0}


def answer(intent, outcome="allow", call=None, **more):
    calls = [{"id": c["id"], "outcome": call or outcome} for c in intent["calls"]]
    return {"id": intent["id"], "index": 7, "decision": {"outcome": outcome, "reasons": [], "calls": calls, **more}, "receipt": "r", "entry": "e"}


class Service(http.server.BaseHTTPRequestHandler):
    """Answers by a script: each step is (status, headers, function of the intent)."""

    script, bodies, tokens = [], [], []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        self.tokens.append(self.headers["Authorization"])
        status, headers, make = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if status is None:
            return self.connection.close()
        data = make(json.loads(body))
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments):
        pass


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = "http://127.0.0.1:%d/" % self.server.server_port
        self.ran = []
        Service.bodies, Service.tokens = [], []

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def guarded(self, *script, intent=None):
        Service.script = list(script)
        tool = lambda **args: self.ran.append(args) or "done"  # noqa: E731
        return client.guarded_call(self.url, "t", json.loads(json.dumps(intent or INTENT)), "c1", tool, **FAST)

    def test_an_allowed_call_runs_once_with_the_sealed_arguments(self):
        self.assertEqual(self.guarded((201, {}, answer)), "done")
        self.assertEqual(self.ran, [{"to": "bob", "n": 1}])
        self.assertEqual(Service.tokens, ["Bearer t"])

    def test_everything_else_does_not_run(self):
        cases = {
            "a denial": lambda i: answer(i, "deny"),
            "a hold": lambda i: answer(i, "hold"),
            "a defer": lambda i: answer(i, "defer"),
            "a modified call": lambda i: answer(i, "modify"),
            "an allowed intent with a denied call": lambda i: answer(i, "allow", "deny"),
            "an allowed call of a denied intent": lambda i: answer(i, "deny", "allow"),
            "an unknown outcome": lambda i: answer(i, "ALLOW"),
            "an answer to another intent": lambda i: dict(answer(i), id=client.new_id()),
            "an answer without a receipt": lambda i: dict(answer(i), receipt=""),
            "an answer with no calls": lambda i: dict(answer(i), decision={"outcome": "allow", "calls": []}),
            "an expired permission": lambda i: answer(i, expires="2020-01-01T00:00:00.000Z"),
            "an expiry that cannot be read": lambda i: answer(i, expires="soon"),
            "text": lambda i: b"allow",
            "an array": lambda i: [answer(i)],
            "null": lambda i: None,
            "nothing": lambda i: b"",
        }
        for name, make in cases.items():
            with self.subTest(name), self.assertRaises(client.NotAllowed):
                self.guarded((201, {}, make))
        for status in (200, 202, 301, 302, 307, 400, 401, 403, 409, 413):
            with self.subTest(status), self.assertRaises(client.NotAllowed):
                Service.bodies = []
                self.guarded((status, {"Location": self.url}, answer))
            self.assertEqual(len(Service.bodies), 1, "such a status is final")
        self.assertEqual(self.ran, [])

    def test_a_retry_is_the_same_intent(self):
        refused = (503, {}, lambda i: {"code": "busy"})
        self.assertEqual(self.guarded(refused, (None, {}, None), (201, {}, answer)), "done")
        self.assertEqual(len(Service.bodies), 3)
        self.assertEqual(len(set(Service.bodies)), 1)
        self.assertEqual(len(self.ran), 1)

    def test_retries_end(self):
        with self.assertRaises(client.NotAllowed):
            self.guarded((503, {}, lambda i: {}))
        self.assertEqual(len(Service.bodies), FAST["attempts"])
        Service.bodies = []
        with self.assertRaises(client.NotAllowed):
            self.guarded((429, {"Retry-After": "3600"}, lambda i: {}))
        self.assertEqual(len(Service.bodies), 1, "no waiting beyond the patience")

    def test_a_service_that_is_down(self):
        self.tearDown()
        with self.assertRaises(client.NotAllowed):
            self.guarded((201, {}, answer))
        self.setUp()
        self.assertEqual(self.ran, [])

    def test_a_call_that_was_not_declared(self):
        with self.assertRaises(client.NotAllowed):
            self.guarded((201, {}, answer), intent=dict(INTENT, calls=[]))

    def test_ids(self):
        ids = [client.new_id() for _ in range(1000)]
        self.assertEqual(len(set(ids)), 1000)
        for text in ids:
            self.assertRegex(text, re.compile(r"\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z"))


if __name__ == "__main__":
    unittest.main()
