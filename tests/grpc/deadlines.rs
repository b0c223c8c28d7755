//! `grpc-timeout` is kept by the service too, and what a call did that ran out of time is not claimed to be known.

use std::time::{Duration, Instant};

use foreseal::api::grpc::v1::{FollowRequest, SubmitRequest};
use foreseal::service::ErrorCode;
use prost::Message as _;
use tonic::Code;

use super::agents::{allowed, leaves};
use super::client::{Grpc, body, submission};
use super::process::Home;
use super::raw::{call, framed};
use super::refusals::assert_refused;

/// What an answer to be given within 30 s would take at least.
const FAR: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_when_its_time_is_over_whatever_it_waits_for() {
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let size = server.operator().size();
    let address = server.address;
    let start = Instant::now();
    let timeout = [("grpc-timeout", "300m")];
    // One message that never comes, and a stream of them.
    for method in ["Submit", "SubmitStream"] {
        let path = format!("foreseal.v1.IntentService/{method}");
        let ended = call(address, &token, &path, &timeout, None).await;
        assert_refused(&ended.status, ErrorCode::TimedOut);
        assert!(ended.messages.is_empty());
    }
    // A stream without an end of its own: what was sent is there, and whole.
    let follow = framed(&FollowRequest { from: 0, checkpoints_only: false }.encode_to_vec());
    let ended = call(address, &token, "foreseal.v1.LogService/Follow", &timeout, Some(follow)).await;
    assert_refused(&ended.status, ErrorCode::TimedOut);
    let mut rest = &ended.messages[..];
    let mut messages = 0;
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        rest = &rest[5 + length..];
        messages += 1;
    }
    assert!(messages >= 2, "leaves and a checkpoint");
    // And health, which needs no credential.
    let watch = call(address, &token, "grpc.health.v1.Health/Watch", &timeout, Some(framed(b""))).await;
    assert_refused(&watch.status, ErrorCode::TimedOut);
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1_200) && took < FAR, "{took:?}");
    assert_eq!(server.operator().size(), size);
    // Time enough changes nothing.
    let good =
        framed(&SubmitRequest { submission: Some(submission(&body(&allowed("bot")))) }.encode_to_vec());
    let submit = "foreseal.v1.IntentService/Submit";
    let ended = call(address, &token, submit, &[("grpc-timeout", "99999999H")], Some(good)).await;
    assert_eq!(ended.status.code(), Code::Ok, "{:?}", ended.status);
    server.stop();
}

/// More at once than can be sealed in the time that each has: for some of them nobody is told, and asking again tells.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_intent_whose_time_ran_out_may_be_sealed_and_asking_again_tells() {
    const INTENTS: usize = 300;
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let intents: Vec<_> = (0..INTENTS).map(|_| allowed("bot")).collect();
    let (address, intents) = (server.address, std::sync::Arc::new(intents));
    let calls: Vec<_> = (0..INTENTS)
        .map(|number| {
            let (intents, token) = (std::sync::Arc::clone(&intents), token.clone());
            tokio::spawn(async move {
                let request = SubmitRequest { submission: Some(submission(&body(&intents[number]))) };
                let sent = framed(&request.encode_to_vec());
                call(
                    address,
                    &token,
                    "foreseal.v1.IntentService/Submit",
                    &[("grpc-timeout", "1m")],
                    Some(sent),
                )
                .await
            })
        })
        .collect();
    let mut out_of_time = 0;
    for (call, intent) in calls.into_iter().zip(intents.iter()) {
        let ended = call.await.unwrap();
        if ended.status.code() != Code::Ok {
            assert_refused(&ended.status, ErrorCode::TimedOut);
            out_of_time += 1;
        }
        let sealed = grpc.submit(&body(intent)).await.unwrap();
        assert_eq!(intent["id"], sealed.id);
    }
    assert!(out_of_time > 0, "all of them were sealed in time");
    println!("out of time: {out_of_time} of {INTENTS}");
    let log = leaves(&server.operator());
    let kinds = super::agents::kinds(&log);
    assert_eq!(kinds.iter().filter(|kind| *kind == "intent").count(), INTENTS, "each once");
    server.stop();
}
