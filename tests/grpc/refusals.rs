//! What is refused: with the status of the one table, the stable code, and what is known about sealing.

use foreseal::api::grpc::v1::{
    GetConsistencyProofRequest, GetIntentRequest, SubmitRequest, SubmitStreamRequest,
};
use foreseal::api::grpc::{status_of, v1};
use foreseal::service::{ErrorCode, SealedState};
use prost::Message as _;
use serde_json::json;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use super::agents::{allowed, denied, new_id};
use super::client::{Grpc, body, channel, code_of, next, sealed, submission, within};
use super::http::Request as HttpRequest;
use super::process::{Home, Server};
use super::raw::{self, framed};

const BODY_MAX_BYTES: usize = foreseal::record::limits::BODY_MAX_BYTES;

#[track_caller]
pub(crate) fn assert_refused(status: &Status, code: ErrorCode) {
    assert_eq!(code_of(status), code.as_str(), "{status:?}");
    assert_eq!(status.code(), status_of(code), "{status:?}");
    assert!(!status.message().is_empty());
    let told = |name: &str| status.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
    let sealed = match code.sealed() {
        SealedState::No => "no",
        SealedState::Yes => "yes",
        SealedState::Unknown => "unknown",
        SealedState::NotAsked => "not_asked",
    };
    assert_eq!(told("foreseal-sealed").as_deref(), Some(sealed));
    assert_eq!(told("foreseal-retry").as_deref(), Some(code.retry()));
    // The same in the form that Google's own libraries read.
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (&*code.as_str().to_uppercase(), "foreseal"));
    assert_eq!(info.metadata["code"], code.as_str());
    assert_eq!(info.metadata["sealed"], sealed);
    assert_eq!(info.metadata.get("hint").cloned(), told("foreseal-hint"));
    assert_eq!(details.retry_info().is_some(), code.status() == 503);
}

async fn refused(server: &Server, token: Option<&str>, intent: &[u8]) -> Status {
    Grpc::connect(server, token).await.submit(intent).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_says_why_and_seals_nothing() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let token = bot.token.clone().unwrap();
    let known = allowed("bot");
    bot.seal(&known);
    let size = server.operator().size();
    let mut other = known.clone();
    other["goal"] = json!("another one");
    let mut long = allowed("bot");
    long["goal"] = json!("x".repeat(BODY_MAX_BYTES));
    let operator = server.operator().token.unwrap();
    for (token, intent, code) in [
        (None, body(&allowed("bot")), ErrorCode::Unauthenticated),
        (Some("fsk_nobodys"), body(&allowed("bot")), ErrorCode::Unauthenticated),
        (Some(&*operator), body(&allowed("bot")), ErrorCode::Forbidden),
        (Some(&*token), body(&allowed("somebody-else")), ErrorCode::AgentMismatch),
        (Some(&*token), b"{\"agent\":".to_vec(), ErrorCode::MalformedIntent),
        (Some(&*token), Vec::new(), ErrorCode::MalformedIntent),
        (Some(&*token), body(&other), ErrorCode::IdReused),
        (Some(&*token), body(&long), ErrorCode::TooLarge),
    ] {
        assert_refused(&refused(&server, token, &intent).await, code);
    }
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let none = within(grpc.intents.submit(SubmitRequest { submission: None })).await.unwrap_err();
    assert_refused(&none, ErrorCode::MalformedRequest);
    let seed = v1::Submission { seed: Some("short".to_owned()), ..submission(&body(&allowed("bot"))) };
    let seed = within(grpc.intents.submit(SubmitRequest { submission: Some(seed) })).await.unwrap_err();
    assert_refused(&seed, ErrorCode::MalformedRequest);
    let signature =
        v1::Submission { signature: Some("k=1".to_owned()), ..submission(&body(&allowed("bot"))) };
    let signed =
        within(grpc.intents.submit(SubmitRequest { submission: Some(signature) })).await.unwrap_err();
    assert_refused(&signed, ErrorCode::SignatureInvalid);
    // Two credentials: it is not said who asks.
    let mut request = Request::new(SubmitRequest { submission: Some(submission(&body(&allowed("bot")))) });
    for token in [&*token, "another"] {
        request
            .metadata_mut()
            .append("authorization", MetadataValue::try_from(format!("Bearer {token}")).unwrap());
    }
    let mut plain = v1::intent_service_client::IntentServiceClient::new(channel(&server).await);
    assert_refused(&within(plain.submit(request)).await.unwrap_err(), ErrorCode::MalformedRequest);
    // No message of this interface at all: refused before it is read.
    let huge = refused(&server, Some(&token), &vec![b' '; 3 * BODY_MAX_BYTES]).await;
    assert_refused(&huge, ErrorCode::TooLarge);
    assert_eq!(server.operator().size(), size, "something was sealed");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_are_refused_as_over_http() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (bot, spy) = (server.agent("bot"), server.agent("spy"));
    let sealed = bot.seal(&allowed("bot"));
    let id = sealed["id"].as_str().unwrap();
    let mut stranger = Grpc::connect(&server, None).await;
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let mut spying = Grpc::connect(&server, spy.token.as_deref()).await;
    assert_refused(&stranger.get(id).await.unwrap_err(), ErrorCode::Unauthenticated);
    assert_refused(&spying.get(id).await.unwrap_err(), ErrorCode::NotFound);
    let theirs = GetIntentRequest { id: id.to_owned(), agent: Some("bot".to_owned()) };
    assert_refused(&within(spying.intents.get_intent(theirs)).await.unwrap_err(), ErrorCode::NotFound);
    assert_refused(&grpc.get("c1").await.unwrap_err(), ErrorCode::MalformedRequest);
    assert_refused(&grpc.get(&new_id()).await.unwrap_err(), ErrorCode::NotFound);
    let beyond = GetConsistencyProofRequest { from: 0, to: Some(1_000) };
    let beyond = within(grpc.log.get_consistency_proof(beyond)).await.unwrap_err();
    assert_refused(&beyond, ErrorCode::NotInLog);
    let unread = within(stranger.log.get_checkpoint(v1::GetCheckpointRequest {})).await.unwrap_err();
    assert_refused(&unread, ErrorCode::Unauthenticated);
    assert_refused(&stranger.follow(0).await.err().unwrap(), ErrorCode::Unauthenticated);
    assert_refused(&grpc.follow(1_000).await.err().unwrap(), ErrorCode::NotInLog);
    let stream = tokio_stream::iter([SubmitStreamRequest { submission: None }]);
    let stream = within(stranger.intents.submit_stream(stream)).await.err().unwrap();
    assert_refused(&stream, ErrorCode::Unauthenticated);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_that_ends_ends_its_streams() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let mut following = grpc.follow(server.operator().size()).await.unwrap();
    following.next().await.unwrap();
    let (send, requests) = tokio::sync::mpsc::channel(4);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let answers = within(grpc.intents.submit_stream(requests)).await.unwrap().into_inner();
    let mut answers = super::client::Answers(answers);
    send.send(next(&body(&denied("bot")))).await.unwrap();
    sealed(answers.next().await.unwrap().unwrap().1);

    let revoked = server.operator().send(&HttpRequest::new("POST", "/v1/agents/bot/revoke"));
    assert_eq!(revoked.status, 201, "{}", revoked.text());
    send.send(next(&body(&denied("bot")))).await.unwrap();
    let (last, end) = answers.rest().await;
    assert_eq!(last.len(), 1);
    let v1::submit_stream_response::Result::Error(error) = &last[0].1 else { panic!("{last:?}") };
    assert_eq!((error.code.as_str(), error.sealed()), ("unauthenticated", v1::SealedState::No));
    assert_refused(&end.unwrap(), ErrorCode::Unauthenticated);
    // The follower may have got the leaf before, nothing after.
    let end = loop {
        if let Err(status) = following.next().await {
            break status;
        }
    };
    assert_refused(&end, ErrorCode::Unauthenticated);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_log_is_read_without_a_token_and_nothing_else_is() {
    let home = Home::with_ledger();
    let server = home.serve_with(&["--policies", super::process::STARTER, "--public-log"]);
    let mut stranger = Grpc::connect(&server, None).await;
    assert!(stranger.checkpoint().await.size > 0);
    stranger.follow(0).await.unwrap().next().await.unwrap();
    assert_refused(&stranger.submit(&body(&allowed("bot"))).await.unwrap_err(), ErrorCode::Unauthenticated);
    server.stop();
}

/// What no generated client would send, and the gRPC library refuses before a handler sees it: with a code all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_message_of_the_interface_is_refused_with_a_code() {
    const SUBMIT: &str = "foreseal.v1.IntentService/Submit";
    const STREAM: &str = "foreseal.v1.IntentService/SubmitStream";
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let size = server.operator().size();
    let good =
        framed(&SubmitRequest { submission: Some(submission(&body(&allowed("bot")))) }.encode_to_vec());
    let mut flagged = good.clone();
    flagged[0] = 1;
    let mut odd = good.clone();
    odd[0] = 9;
    let long = [&[0][..], &(3 * BODY_MAX_BYTES as u32).to_be_bytes(), &[0; 64]].concat();
    let cut = good[..good.len() - 1].to_vec();
    let noise = framed(&[0xff; 12]);
    let gzip = &[("grpc-encoding", "gzip")][..];
    let seconds = &[("grpc-timeout", "5s")][..];
    let twice = &[("grpc-timeout", "5S"), ("grpc-timeout", "6S")][..];
    for (what, path, headers, sent, code) in [
        ("an unknown method", "foreseal.v1.IntentService/Erase", &[][..], &good, ErrorCode::MethodNotAllowed),
        ("an unknown service", "foreseal.v1.Nothing/Submit", &[], &good, ErrorCode::MethodNotAllowed),
        ("a compressed call", SUBMIT, gzip, &flagged, ErrorCode::UnsupportedMediaType),
        ("a compressed stream", STREAM, gzip, &flagged, ErrorCode::UnsupportedMediaType),
        ("compressed, and not said so", SUBMIT, &[], &flagged, ErrorCode::MalformedRequest),
        ("a flag that is none", SUBMIT, &[], &odd, ErrorCode::MalformedRequest),
        ("no protobuf", SUBMIT, &[], &noise, ErrorCode::MalformedRequest),
        ("no protobuf in a stream", STREAM, &[], &noise, ErrorCode::MalformedRequest),
        ("no message", SUBMIT, &[], &Vec::new(), ErrorCode::MalformedRequest),
        ("a message cut off", SUBMIT, &[], &cut, ErrorCode::MalformedRequest),
        ("over 2 MiB", SUBMIT, &[], &long, ErrorCode::TooLarge),
        ("over 2 MiB in a stream", STREAM, &[], &long, ErrorCode::TooLarge),
        ("a timeout that is none", SUBMIT, seconds, &good, ErrorCode::MalformedRequest),
        ("two timeouts", SUBMIT, twice, &good, ErrorCode::MalformedRequest),
    ] {
        let ended = raw::call(server.address, &token, path, headers, Some(sent.clone())).await;
        println!("{what}: {:?} {}", ended.status.code(), ended.status.message());
        assert_refused(&ended.status, code);
        assert!(ended.messages.is_empty(), "{what}");
        let accepted = ended.status.metadata().get("grpc-accept-encoding").is_some();
        assert_eq!(accepted, code == ErrorCode::UnsupportedMediaType, "{what}");
    }
    assert_eq!(server.operator().size(), size, "something was sealed");
    // Counted like every refusal.
    let metrics = server.operator().get("/metrics").text();
    for (code, count) in [("too_large", 2), ("unsupported_media_type", 2), ("malformed_request", 8)] {
        let line = format!("foreseal_refused_total{{code=\"{code}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    server.stop();
}

/// Over HTTP the paths of gRPC are nothing else, and say so in HTTP's words.
#[test]
fn what_is_no_grpc_is_told_so() {
    let home = Home::with_ledger();
    let server = home.serve();
    let ask = |head: &str| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(super::process::PATIENCE)).unwrap();
        write!(stream, "{head}\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    };
    let path = "/foreseal.v1.IntentService/Submit";
    let json = ask(&format!("POST {path} HTTP/1.1\r\nContent-Type: application/json"));
    assert!(json.starts_with("HTTP/1.1 415 ") && json.contains("\"unsupported_media_type\""), "{json}");
    let get = ask(&format!("PUT {path} HTTP/1.1\r\nContent-Type: application/grpc"));
    assert!(get.starts_with("HTTP/1.1 405 ") && get.contains("\"method_not_allowed\""), "{get}");
    server.stop();
}

/// The limit holds, and a place that is given back can be had again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_counted() {
    let home = Home::with_ledger();
    let server = home.serve();
    let operator = server.operator();
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Grpc::connect(&server, operator.token.as_deref()).await);
    }
    let size = operator.size();
    let mut open = Vec::new();
    for number in 0..foreseal::record::limits::STREAMS_MAX {
        open.push(clients[number % 3].follow(size).await.unwrap());
    }
    assert_refused(&clients[0].follow(size).await.err().unwrap(), ErrorCode::Overloaded);
    // Whoever follows does not keep others from submitting.
    let bot = server.agent("bot");
    bot.seal(&allowed("bot"));
    open.pop();
    let until = std::time::Instant::now() + super::process::PATIENCE;
    while clients[0].follow(size).await.is_err() {
        assert!(std::time::Instant::now() < until, "the place is not given back");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    server.stop();
}

/// The library would decode a message before it asks who sent it: one that it refuses to decode shows what came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_not_read_for_a_stranger_nor_where_there_is_no_room_for_it() {
    use std::io::Write as _;

    use foreseal::record::limits;
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let token = bot.token.clone().unwrap();
    let undecodable = vec![b'x'; 3 * BODY_MAX_BYTES];
    for token in [None, Some("fsk_nobody")] {
        assert_refused(&refused(&server, token, &undecodable).await, ErrorCode::Unauthenticated);
    }
    assert_refused(&refused(&server, Some(&token), &undecodable).await, ErrorCode::TooLarge);
    // All the room is taken over HTTP, and nothing of it is sent.
    let head = format!(
        "POST /v1/intents HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\nContent-Length: {BODY_MAX_BYTES}\r\n\r\n"
    );
    let hold = || {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let mut holding: Vec<_> = (0..limits::BODIES_MAX_BYTES / BODY_MAX_BYTES).map(|_| hold()).collect();
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let overloaded = loop {
        match grpc.submit(&body(&allowed("bot"))).await {
            Err(status) => break status,
            Ok(_) => assert!(std::time::Instant::now() < until, "nobody was refused"),
        }
        // In the place of one that was refused because this intent was there.
        holding.push(hold());
    };
    assert_refused(&overloaded, ErrorCode::Overloaded);
    // A stream is not refused: it waits, and goes on when there is room.
    let mut answers = grpc.stream(vec![body(&allowed("bot"))]).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(500), answers.next()).await;
    assert!(early.is_err(), "there was no room for it");
    drop(holding);
    assert!(answers.next().await.unwrap().is_some());
    let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while grpc.submit(&body(&allowed("bot"))).await.is_err() {
        assert!(std::time::Instant::now() < until, "the room is not given back");
    }
}
