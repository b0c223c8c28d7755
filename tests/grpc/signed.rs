//! Signed intents over gRPC: sealed as over HTTP, and refused as over HTTP with nothing sealed.

use foreseal::api::grpc::v1::{self, GetPayloadRequest, Sealed, SubmitRequest, SubmitStreamRequest};
use foreseal::service::ErrorCode;
use serde_json::{Value, json};
use tonic::Status;

use super::agents::{allowed, leaf_of};
use super::client::{Answers, Grpc, body, sealed, submission, within};
use super::http::Client;
use super::process::{Home, Server};
use super::refusals::assert_refused;
use super::signing::{Signed, Signer, at, sign, sign_for, signable};

/// Registers an agent that signs.
fn register(server: &Server, name: &str, key: &Signer) -> Client {
    let new = json!({ "name": name, "public_key": key.public_base64() }).to_string();
    let registered = server.operator().post("/v1/agents", new).json();
    server.client(registered["token"].as_str().unwrap())
}

fn as_submission(signed: &Signed) -> v1::Submission {
    v1::Submission {
        declared: signed.body.clone().into_bytes(),
        seed: Some(signed.seed.clone()),
        signature: Some(signed.signature.clone()),
    }
}

async fn submit(grpc: &mut Grpc, submission: v1::Submission) -> Result<Sealed, Status> {
    let request = SubmitRequest { submission: Some(submission) };
    within(grpc.intents.submit(request)).await.map(|answer| answer.into_inner().sealed.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_intent_is_sealed_with_its_signer_as_over_http() {
    let home = Home::with_ledger();
    let server = home.serve();
    let key = Signer::from_seed([1; 32]);
    let bot = register(&server, "bot", &key);
    let registered = bot.size() - 1;
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let signed = sign(&key, &signable("bot"));
    let first = submit(&mut grpc, as_submission(&signed)).await.unwrap();
    let answer: Value = serde_json::from_slice(&first.answer).unwrap();
    let leaf = leaf_of(&answer);
    assert_eq!((&leaf["signer"], &leaf["agent"]), (&json!(registered), &json!(registered)));
    assert_eq!(leaf["declared"]["root"], signed.root, "what was signed is what was sealed");
    // The very same over HTTP is a retry, and no second leaf.
    assert_eq!(bot.send(&signed.request()).body, first.answer);
    assert_eq!(bot.size(), registered + 2);
    let payload = GetPayloadRequest { id: first.id.clone(), agent: None };
    let payload = within(grpc.intents.get_payload(payload)).await.unwrap().into_inner();
    assert_eq!(payload.declared, signed.body.as_bytes());
    assert_eq!(payload.declared_seed, signed.seed);
    assert!(signed.signature.ends_with(&format!("sig=\"{}\"", payload.signature.unwrap())));
    // In a stream, one that is not signed in the middle.
    let mut intents: Vec<_> = (0..3).map(|_| as_submission(&sign(&key, &signable("bot")))).collect();
    intents[1].signature = None;
    let requests = intents.into_iter().map(|next| SubmitStreamRequest { submission: Some(next) });
    let answers = within(grpc.intents.submit_stream(tokio_stream::iter(requests.collect::<Vec<_>>()))).await;
    let (answers, end) = Answers(answers.unwrap().into_inner()).rest().await;
    assert!(end.is_none() && answers.len() == 3, "{end:?}");
    for (number, fate) in answers {
        match fate {
            v1::submit_stream_response::Result::Error(error) => {
                assert_eq!(
                    (number, error.code.as_str(), error.sealed()),
                    (1, "signature_required", v1::SealedState::No)
                );
            }
            fate => {
                let answer: Value = serde_json::from_slice(&sealed(fate).answer).unwrap();
                assert_eq!(leaf_of(&answer)["signer"], registered);
            }
        }
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_signature_is_refused_and_nothing_is_sealed() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (key, other) = (Signer::from_seed([1; 32]), Signer::from_seed([2; 32]));
    let (bot, plain) = (register(&server, "bot", &key), server.agent("plain"));
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let mut unsigning = Grpc::connect(&server, plain.token.as_deref()).await;
    let good = || as_submission(&sign(&key, &signable("bot")));
    let first = sign(&key, &signable("bot"));
    submit(&mut grpc, as_submission(&first)).await.unwrap();
    let size = bot.size();
    let mut dated = signable("bot");
    dated["created"] = json!(at(-360));
    let mut another_body = good();
    another_body.declared =
        String::from_utf8(another_body.declared).unwrap().replace("current-1", "current-2").into_bytes();
    for (what, code, bad) in [
        ("no signature", ErrorCode::SignatureRequired, submission(&body(&allowed("bot")))),
        ("another key", ErrorCode::SignatureInvalid, as_submission(&sign(&other, &signable("bot")))),
        (
            "another log",
            ErrorCode::SignatureInvalid,
            as_submission(&sign_for(&key, &signable("bot"), "example.com/other")),
        ),
        ("another body", ErrorCode::SignatureInvalid, another_body),
        (
            "another seed",
            ErrorCode::SignatureInvalid,
            v1::Submission { seed: Some(first.seed.clone()), ..good() },
        ),
        (
            "another's signature",
            ErrorCode::SignatureInvalid,
            v1::Submission { signature: Some(first.signature.clone()), ..good() },
        ),
        ("no seed", ErrorCode::MalformedStatement, v1::Submission { seed: None, ..good() }),
        (
            "no signature header",
            ErrorCode::MalformedStatement,
            v1::Submission { signature: Some("sig".to_owned()), ..good() },
        ),
        ("six minutes old", ErrorCode::CreatedOutsideWindow, as_submission(&sign(&key, &dated))),
    ] {
        let refused = submit(&mut grpc, bad).await.expect_err(what);
        println!("{what}: {}", refused.message());
        assert_refused(&refused, code);
    }
    let foreign = as_submission(&sign(&key, &signable("plain")));
    assert_refused(&submit(&mut unsigning, foreign).await.unwrap_err(), ErrorCode::SignatureInvalid);
    assert_eq!(bot.size(), size, "a refused intent was sealed");
    server.stop();
}
