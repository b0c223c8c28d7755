//! How streams end: told to stop, killed, or because a write failed. What was answered is sealed.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use foreseal::api::grpc::v1::Sealed;
use foreseal::api::grpc::v1::submit_stream_response::Result as Fate;
use foreseal::service::ErrorCode;
use tokio_stream::wrappers::ReceiverStream;

use super::agents::{allowed, denied, id_at, leaves};
use super::client::{Answers, Grpc, body, code_of, next, sealed, within};
use super::following::Followed;
use super::process::{Home, Server};
use super::refusals::assert_refused;

/// A client that sends without waiting for answers, until nobody takes any more.
struct Flood {
    /// Every id that was sent, in order, when the stream has ended.
    sent: tokio::task::JoinHandle<Vec<String>>,
    answers: Answers,
}

impl Flood {
    async fn start(grpc: &mut Grpc) -> Self {
        let (send, requests) = tokio::sync::mpsc::channel(8);
        let sent = tokio::spawn(async move {
            let mut ids = Vec::new();
            loop {
                let mut intent = allowed("bot");
                intent["id"] = id_at(0).into();
                if send.send(next(&body(&intent))).await.is_err() {
                    return ids;
                }
                ids.push(intent["id"].as_str().unwrap().to_owned());
            }
        });
        let answers = within(grpc.intents.submit_stream(ReceiverStream::new(requests))).await.unwrap();
        Self { sent, answers: Answers(answers.into_inner()) }
    }

    async fn take(&mut self, count: usize) -> Vec<Sealed> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(sealed(self.answers.next().await.unwrap().unwrap().1));
        }
        all
    }
}

fn id_of(leaf: &[u8]) -> Option<String> {
    let leaf: serde_json::Value = serde_json::from_slice(leaf).unwrap();
    (leaf["type"] == "intent").then(|| leaf["id"].as_str().unwrap().to_owned())
}

async fn assert_sealed(server: &Server, token: &str, answered: &[Sealed]) {
    let log = leaves(&server.operator());
    let mut grpc = Grpc::connect(server, Some(token)).await;
    for (number, answer) in answered.iter().enumerate() {
        if number % 8 == 0 {
            assert_eq!(&grpc.get(&answer.id).await.unwrap(), answer, "an answer changed");
        }
        let said: serde_json::Value = serde_json::from_slice(&answer.answer).unwrap();
        assert_eq!(super::agents::entry_of(&said), log[usize::try_from(answer.index).unwrap()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn told_to_stop_every_intent_taken_is_answered_and_no_other_is_sealed() {
    // A machine too busy to drain within the time for it cuts connections; then nothing is shown either way.
    for _ in 0..3 {
        if told_to_stop().await {
            return;
        }
    }
    panic!("no stop was drained in time");
}

/// Whether both streams ended in words.
async fn told_to_stop() -> bool {
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let mut flood = Flood::start(&mut grpc).await;
    let mut following = Followed::new(grpc.follow(0).await.unwrap(), 0);
    let mut answered = flood.take(60).await;
    server.child.terminate();
    let (rest, end) = flood.answers.rest().await;
    let end = end.unwrap();
    if is_cut(&end) {
        return false;
    }
    assert_refused(&end, ErrorCode::Stopping);
    for (number, fate) in rest {
        assert_eq!(number, answered.len() as u64);
        answered.push(sealed(fate));
    }
    let end = following.until_the_end().await;
    if is_cut(&end) {
        return false;
    }
    assert_refused(&end, ErrorCode::Stopping);
    server.ended(Duration::from_secs(20)).expect(0);
    let sent = within(flood.sent).await.unwrap();
    assert!(sent.len() > answered.len(), "nothing was on the way");

    let server = home.serve();
    assert_sealed(&server, &token, &answered).await;
    let log = leaves(&server.operator());
    let in_log: HashSet<String> = log.iter().filter_map(|leaf| id_of(leaf)).collect();
    assert_eq!(in_log.len(), answered.len(), "ids are found in leaves");
    for id in &sent[answered.len()..] {
        assert!(!in_log.contains(id), "{id} has no answer, and is sealed");
    }
    assert_eq!(following.leaves, log[..following.leaves.len()]);
    server.stop();
    true
}

/// Whether the connection ended before the stream said why.
fn is_cut(status: &tonic::Status) -> bool {
    status.metadata().get("foreseal-code").is_none()
}

/// Readers that do not read are no reason to stay: the process ends within what is promised.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_stream_does_not_keep_the_process() {
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let (answers, _) = grpc.stream((0..1_000).map(|_| body(&allowed("bot"))).collect()).await.rest().await;
    assert_eq!(answers.len(), 1_000);
    let mut unread = Grpc::connect(&server, Some(&token)).await;
    let _following = unread.follow(0).await.unwrap();
    let _flood = Flood::start(&mut unread).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_what_was_answered_is_sealed_and_what_was_followed_is_history() {
    let home = Home::with_ledger();
    let mut server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let (mut answered, mut followed) = (Vec::new(), Vec::new());
    for cycle in 0..3 {
        let mut grpc = Grpc::connect(&server, Some(&token)).await;
        let from = followed.len() as u64;
        let mut following = Followed::new(grpc.follow(from).await.unwrap(), from);
        let mut flood = Flood::start(&mut grpc).await;
        answered.extend(flood.take(40 + 37 * cycle).await);
        server.kill();
        let (rest, end) = flood.answers.rest().await;
        assert!(end.is_some(), "a killed service says no farewell");
        answered.extend(rest.into_iter().map(|(_, fate)| sealed(fate)));
        following.until_the_end().await;
        followed.extend(following.leaves);
        // An intent without an answer is sent again with its id; here it is enough that nothing contradicts.
        flood.sent.abort();
        server = home.serve();
        assert_sealed(&server, &token, &answered).await;
        assert_eq!(followed, leaves(&server.operator())[..followed.len()], "a followed leaf changed");
    }
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_write_streams_end_and_say_so() {
    let home = Home::with_ledger();
    let server = limited(&home);
    let token = server.agent("bot").token.unwrap();
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let mut following = Followed::new(grpc.follow(0).await.unwrap(), 0);
    let (send, requests) = tokio::sync::mpsc::channel(8);
    let answers = within(grpc.intents.submit_stream(ReceiverStream::new(requests))).await.unwrap();
    let mut answers = Answers(answers.into_inner());
    send.send(next(&body(&denied("bot")))).await.unwrap();
    let first = sealed(answers.next().await.unwrap().unwrap().1);
    // Until the idle marker and the index's rows are written, and nobody writes any more.
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    if !limit_file_size(&server) {
        return;
    }
    send.send(next(&body(&allowed("bot")))).await.unwrap();
    let (last, end) = answers.rest().await;
    let codes: Vec<_> = last
        .iter()
        .map(|(_, fate)| match fate {
            Fate::Error(error) => error.code.as_str(),
            Fate::Sealed(_) => "sealed",
        })
        .collect();
    assert_eq!(codes, ["outcome_unknown"]);
    assert_refused(&end.unwrap(), ErrorCode::Poisoned);
    assert_eq!(code_of(&following.until_the_end().await), "poisoned");
    server.ended(Duration::from_secs(20)).expect(74);

    let server = home.serve();
    assert_sealed(&server, &token, &[first]).await;
    server.stop();
}

/// A service that is told of writes beyond its limit by an error and not by the signal that would end it.
fn limited(home: &Home) -> Server {
    let serve = home.serve_command(&["--policies", super::process::STARTER]);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    for (name, _) in serve.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    Server::start(command, &home.admin_token())
}

/// From now on this process writes nothing more. `false` where the machine cannot do that.
fn limit_file_size(server: &Server) -> bool {
    let pid = server.child.0.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, "--fsize=4096"]).output();
    let limited = limited.is_ok_and(|output| output.status.success());
    if !limited {
        eprintln!("skipped: streams over writes that fail (there is no prlimit that works)");
    }
    limited
}
