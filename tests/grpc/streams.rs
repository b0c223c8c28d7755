//! Intents as a stream: in order, one bad one ends nothing, and a client that does not read is not served on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use foreseal::api::grpc::v1::submit_stream_response::Result as Fate;
use foreseal::api::grpc::v1::{Outcome, SealedState};
use foreseal::record::limits;
use serde_json::json;
use tokio_stream::StreamExt as _;

use super::agents::{allowed, denied};
use super::client::{Answers, Grpc, body, next, sealed, within};
use super::process::Home;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_order_and_one_bad_intent_ends_nothing() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let mut long = allowed("bot");
    long["goal"] = json!("x".repeat(limits::BODY_MAX_BYTES));
    let mut intents: Vec<Vec<u8>> = (0..120)
        .map(|number| match number % 10 {
            2 => b"{\"agent\": \"bot\"".to_vec(),
            5 => body(&allowed("somebody-else")),
            8 => body(&denied("bot")),
            _ => body(&allowed("bot")),
        })
        .collect();
    // A retry on the way behind the first, and one that is too long.
    intents[101] = intents[100].clone();
    intents[55] = body(&long);
    let (answers, end) = grpc.stream(intents.clone()).await.rest().await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(answers.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..120).collect::<Vec<_>>());
    let mut last = None;
    for ((number, fate), intent) in answers.iter().zip(&intents) {
        let refused = match number {
            55 => Some("too_large"),
            n if n % 10 == 2 => Some("malformed_intent"),
            n if n % 10 == 5 => Some("agent_mismatch"),
            _ => None,
        };
        match (fate, refused) {
            (Fate::Error(error), Some(code)) => {
                assert_eq!((error.code.as_str(), error.sealed()), (code, SealedState::No));
                assert!(!error.detail.is_empty() && error.status != 0);
            }
            (Fate::Sealed(sealed), None) => {
                let declared: serde_json::Value = serde_json::from_slice(intent).unwrap();
                assert_eq!(declared["id"], sealed.id, "an answer to another intent");
                let outcome = if number % 10 == 8 { Outcome::Deny } else { Outcome::Allow };
                assert_eq!(sealed.decision.as_ref().unwrap().outcome(), outcome);
                // The order of the log is the order of the stream; a retry is sealed once.
                let expected =
                    if *number == 101 { last == Some(sealed.index) } else { last < Some(sealed.index) };
                assert!(expected, "{number}: {last:?}, {}", sealed.index);
                last = Some(sealed.index);
                assert_eq!(bot.get(format!("/v1/intents/{}", sealed.id)).body, sealed.answer);
            }
            (fate, refused) => panic!("{number}: {fate:?}, not {refused:?}"),
        }
    }
    assert_eq!(answers[100].1, answers[101].1);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_stream_takes_no_more_than_its_window() {
    const INTENTS: usize = 1_200;
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let size = bot.size();
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let intents: Vec<Vec<u8>> = (0..INTENTS)
        .map(|_| {
            let mut intent = allowed("bot");
            // Fewer of these fit into what lies between the two sides.
            intent["reasoning"] = json!(["because ".repeat(1_000)]);
            body(&intent)
        })
        .collect();
    let requests = tokio_stream::iter(intents).map(move |intent| {
        count.fetch_add(1, Ordering::Relaxed);
        next(&intent)
    });
    let answers = within(grpc.intents.submit_stream(requests)).await.unwrap().into_inner();
    // Until nothing moves any more.
    let mut sealed_before = u64::MAX;
    let sealed_unread = loop {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let sealed = bot.size() - size;
        if sealed == sealed_before && sealed > 0 {
            break sealed;
        }
        sealed_before = sealed;
    };
    // The window, what lies in buffers on the way back (answers of about 3 KB), and no more.
    let on_the_way = 400;
    let bound = limits::STREAM_WINDOW_MAX_INTENTS as u64 + on_the_way;
    assert!(
        sealed_unread <= bound,
        "{sealed_unread} were sealed although nobody reads, at most {bound} should be"
    );
    assert!(sent.load(Ordering::Relaxed) < INTENTS, "the client could send everything");
    // Somebody else is not held up.
    server.agent("other").seal(&allowed("other"));
    let (answers, end) = Answers(answers).rest().await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(answers.len(), INTENTS);
    let indices: Vec<u64> = answers.into_iter().map(|(_, fate)| sealed(fate).index).collect();
    assert!(indices.is_sorted_by(|a, b| a < b));
    println!("sealed while unread: {sealed_unread} of {INTENTS}");
    server.stop();
}
