"""The judge of tools/grpc-client: what a program in another language finds when it speaks gRPC with the service.

    grpc_client.py ADDRESS PID      with FORESEAL_TOKEN (an agent's) and OPERATOR_TOKEN; PID is stopped at the end

The generated code lies on the path. Nothing here knows more of Foreseal than proto/ and RFC 6962.
"""

import hashlib
import json
import os
import queue
import signal
import sys
import urllib.request

import grpc
from foreseal.v1 import intents_pb2, intents_pb2_grpc, log_pb2, log_pb2_grpc
from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

ADDRESS, PID = sys.argv[1], int(sys.argv[2])
TOKEN, OPERATOR = os.environ["FORESEAL_TOKEN"], os.environ["OPERATOR_TOKEN"]
PATIENCE = 60

# Straight to loopback, whatever proxy this machine uses.
channel = grpc.insecure_channel(ADDRESS, options=[("grpc.enable_http_proxy", 0)])
intents = intents_pb2_grpc.IntentServiceStub(channel)
log = log_pb2_grpc.LogServiceStub(channel)
health = health_pb2_grpc.HealthStub(channel)


def bearer(token):
    return [("authorization", "Bearer " + token)]


def check(what, holds):
    if not holds:
        sys.exit("not so: " + what)
    print("ok: " + what)


def http(path):
    request = urllib.request.Request("http://%s%s" % (ADDRESS, path), headers={"Authorization": "Bearer " + TOKEN})
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE).read()


def refused(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    sys.exit("not refused")


def declared(tool, arguments, **more):
    call = {"id": "c1", "server": "bank", "tool": tool, "args": arguments}
    return json.dumps(dict({"agent": "grpc-bot", "session": "s-1", "calls": [call]}, **more)).encode()


ALLOWED = declared("get_balance", {"account": "current-1"})
DENIED = declared("drop_everything", {})


def submission(document):
    return intents_pb2.Submission(declared=document)


# ---- reflection -----------------------------------------------------------------------------------------------------

told = ProtoReflectionDescriptorDatabase(channel)
services = set(told.get_services())
check("reflection lists the services", {"foreseal.v1.IntentService", "foreseal.v1.LogService", "grpc.health.v1.Health"} <= services)
pool = descriptor_pool.DescriptorPool(told)
compared = 0
for module in (intents_pb2, log_pb2):
    mine, theirs = descriptor_pb2.FileDescriptorProto(), descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(mine)
    pool.FindFileByName(module.DESCRIPTOR.name).CopyToProto(theirs)
    # Two compilers of .proto files; what they agree in is the interface.
    for part in ("message_type", "enum_type", "service"):
        for one, other in zip(getattr(mine, part), getattr(theirs, part), strict=True):
            for text in (one, other):
                for field in getattr(text, "field", []):
                    field.ClearField("json_name")
            if one != other:
                sys.exit("%s: generated and reflected differ" % one.name)
            compared += 1
check("%d messages, enums and services are the same by protoc and by reflection" % compared, compared > 30)

# ---- health, and who may ask ------------------------------------------------------------------------------------------

for name in ("", "foreseal.v1.IntentService", "foreseal.v1.LogService"):
    answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
    check("health of %r is SERVING" % name, answer.status == health_pb2.HealthCheckResponse.SERVING)

request = intents_pb2.SubmitRequest(submission=submission(ALLOWED))
for what, metadata in (("no token", []), ("a bad token", bearer("fsk_nobodys")), ("another scheme", [("authorization", "Basic " + TOKEN)])):
    error = refused(lambda: intents.Submit(request, metadata=metadata, timeout=PATIENCE))
    check("%s is UNAUTHENTICATED" % what, error.code() == grpc.StatusCode.UNAUTHENTICATED)
    check("  its code is in the metadata", dict(error.trailing_metadata())["foreseal-code"] == "unauthenticated")
    info = error_details_pb2.ErrorInfo()
    details = rpc_status.from_call(error).details
    check("  and in google.rpc.ErrorInfo", any(d.Unpack(info) for d in details) and info.metadata["sealed"] == "no")
error = refused(lambda: intents.Submit(request, metadata=bearer(OPERATOR), timeout=PATIENCE))
check("an operator's intent is PERMISSION_DENIED", error.code() == grpc.StatusCode.PERMISSION_DENIED)

# ---- one intent, and a stream of them ----------------------------------------------------------------------------------

sealed = intents.Submit(request, metadata=bearer(TOKEN), timeout=PATIENCE).sealed
check("an allowed call is OUTCOME_ALLOW", sealed.decision.calls[0].outcome == intents_pb2.OUTCOME_ALLOW)
check("HTTP answers the same bytes", http("/v1/intents/" + sealed.id) == sealed.answer)
request = intents_pb2.SubmitRequest(submission=submission(DENIED))
denied = intents.Submit(request, metadata=bearer(TOKEN), timeout=PATIENCE).sealed
check("a denial is an answer, OUTCOME_DENY, with a reason", denied.decision.outcome == intents_pb2.OUTCOME_DENY and denied.decision.reasons)
check("and a leaf", denied.index == sealed.index + 1)

documents = [ALLOWED, DENIED, b"{", ALLOWED] * 25
stream = (intents_pb2.SubmitStreamRequest(submission=submission(document)) for document in documents)
answers = list(intents.SubmitStream(stream, metadata=bearer(TOKEN), timeout=PATIENCE))
check("a stream of 100 is answered in order", [answer.number for answer in answers] == list(range(100)))
kinds = ["error" if document == b"{" else "sealed" for document in documents]
check("what is malformed is an error in its place", [answer.WhichOneof("result") for answer in answers] == kinds)
check("with its code", {a.error.code for a in answers if a.HasField("error")} == {"malformed_intent"})
indices = [answer.sealed.index for answer in answers if answer.HasField("sealed")]
check("the log has the order of the stream", indices == sorted(set(indices)) and len(indices) == 75)
for answer in answers[:12]:
    if answer.HasField("sealed"):
        with open("stream-%d.json" % answer.number, "wb") as file:
            file.write(answer.sealed.answer)

# ---- following ------------------------------------------------------------------------------------------------------


def root_of(leaves):
    """RFC 6962, section 2.1, as it stands there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(leaves[:split]) + root_of(leaves[split:])).digest()


def take(items, leaves, size):
    """Reads until a checkpoint covers `size` leaves."""
    for item in items:
        if item.HasField("checkpoint"):
            if item.checkpoint.size != len(leaves) or item.checkpoint.root != root_of(leaves):
                sys.exit("the checkpoint is not that of the leaves")
            if item.checkpoint.size >= size:
                return item.checkpoint
        elif item.entries.first != len(leaves):
            sys.exit("a gap, or a leaf twice")
        else:
            leaves.extend(item.entries.entries)
    sys.exit("the stream ended")


size = log.GetCheckpoint(log_pb2.GetCheckpointRequest(), metadata=bearer(TOKEN), timeout=PATIENCE).checkpoint.size
leaves = []
items = log.Follow(log_pb2.FollowRequest(), metadata=bearer(TOKEN), timeout=PATIENCE)
checkpoint = take(items, leaves, size)
check("%d leaves hash to the signed root" % len(leaves), checkpoint.note == http("/checkpoint").decode())
intents.Submit(request, metadata=bearer(TOKEN), timeout=PATIENCE)
take(items, leaves, size + 1)
check("what is sealed next comes by itself", len(leaves) > size)
items.cancel()
part = leaves[:50]
take(log.Follow(log_pb2.FollowRequest(**{"from": 50}), metadata=bearer(TOKEN), timeout=PATIENCE), part, len(leaves))
check("a follower resumes at leaf 50", part == leaves)
beyond = refused(lambda: next(log.Follow(log_pb2.FollowRequest(**{"from": 10_000}), metadata=bearer(TOKEN), timeout=PATIENCE)))
check("beyond the log is OUT_OF_RANGE", beyond.code() == grpc.StatusCode.OUT_OF_RANGE)
proof = log.GetInclusionProof(log_pb2.GetInclusionProofRequest(index=3, size=8), metadata=bearer(TOKEN), timeout=PATIENCE)
node = hashlib.sha256(b"\0" + leaves[3]).digest()
for side, sibling in zip((1, 1, 0), proof.path, strict=True):
    node = hashlib.sha256(b"\1" + (sibling + node if side else node + sibling)).digest()
check("leaf 3 is proven in a log of 8", node == root_of(leaves[:8]))

# ---- the end ----------------------------------------------------------------------------------------------------------

items = log.Follow(log_pb2.FollowRequest(**{"from": len(leaves)}), metadata=bearer(TOKEN), timeout=PATIENCE)
next(items)
waiting = queue.Queue()
answers = intents.SubmitStream(iter(waiting.get, None), metadata=bearer(TOKEN), timeout=PATIENCE)
waiting.put(intents_pb2.SubmitStreamRequest(submission=submission(ALLOWED)))
check("a stream is open", next(answers).HasField("sealed"))
os.kill(PID, signal.SIGTERM)
for what, stream in (("submissions", answers), ("a follower", items)):

    def drain():
        for _ in stream:
            pass

    error = refused(drain)
    code = dict(error.trailing_metadata())["foreseal-code"]
    check("told to stop, %s end with UNAVAILABLE, stopping" % what, (error.code(), code) == (grpc.StatusCode.UNAVAILABLE, "stopping"))
waiting.put(None)
channel.close()
