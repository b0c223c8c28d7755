//! Following: every leaf once, in order, under a checkpoint that covers it; resumable; never ahead of what is published.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::api::grpc::v1::follow_response::Item;
use foreseal::api::grpc::v1::{Checkpoint, FollowRequest};
use foreseal::merkle::{Frontier, leaf_hash};

use super::agents::{allowed, leaves};
use super::client::{Grpc, Items, body, within};
use super::process::{Home, Server};

/// What a follower knows: checked as it comes.
pub(crate) struct Followed {
    items: Items,
    pub(crate) leaves: Vec<Vec<u8>>,
    first: u64,
    frontier: Option<Frontier>,
    checkpoint: Option<Checkpoint>,
}

impl Followed {
    pub(crate) fn new(items: Items, from: u64) -> Self {
        let frontier = (from == 0).then(Frontier::default);
        Self { items, leaves: Vec::new(), first: from, frontier, checkpoint: None }
    }

    fn next(&self) -> u64 {
        self.first + self.leaves.len() as u64
    }

    /// Takes one message. Where the log's size can be asked, no leaf lies beyond it.
    async fn step(&mut self, log: Option<&mut Grpc>) -> Result<(), tonic::Status> {
        match self.items.next().await? {
            Item::Entries(entries) => {
                assert_eq!(entries.first, self.next(), "a gap, or a leaf twice");
                assert!(!entries.entries.is_empty());
                for leaf in entries.entries {
                    if let Some(frontier) = &mut self.frontier {
                        frontier.append(leaf_hash(&leaf));
                    }
                    self.leaves.push(leaf);
                }
                if let Some(log) = log {
                    assert!(log.checkpoint().await.size >= self.next(), "a leaf that is not published");
                }
            }
            Item::Checkpoint(checkpoint) => {
                assert_eq!(checkpoint.size, self.next(), "it covers what was sent");
                let lines: Vec<&str> = checkpoint.note.lines().collect();
                assert_eq!(lines[1], checkpoint.size.to_string());
                if let Some(frontier) = &self.frontier {
                    assert_eq!(
                        frontier.root().0.to_vec(),
                        checkpoint.root,
                        "the leaves do not lead to the root"
                    );
                    assert_eq!(lines[2], STANDARD.encode(frontier.root().0));
                }
                assert!(self.checkpoint.as_ref().is_none_or(|last| last.size < checkpoint.size));
                self.checkpoint = Some(checkpoint);
            }
        }
        Ok(())
    }

    /// Until a checkpoint covers the log up to `size`.
    async fn until(&mut self, size: u64) {
        while self.checkpoint.as_ref().is_none_or(|checkpoint| checkpoint.size < size) {
            self.step(None).await.unwrap();
        }
    }

    /// Until the stream ends.
    pub(crate) async fn until_the_end(&mut self) -> tonic::Status {
        loop {
            if let Err(status) = self.step(None).await {
                return status;
            }
        }
    }
}

async fn seal(server: &Server, token: &str, count: usize) {
    let mut grpc = Grpc::connect(server, Some(token)).await;
    let (answers, end) = grpc.stream((0..count).map(|_| body(&allowed("bot"))).collect()).await.rest().await;
    assert!(end.is_none() && answers.len() == count, "{end:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gets_every_leaf_as_it_is_sealed_and_resumes_anywhere() {
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let operator = server.operator();
    // More than one bundle of leaves lies there already.
    seal(&server, &token, 600).await;
    let mut grpc = Grpc::connect(&server, Some(&token)).await;
    let mut asking = Grpc::connect(&server, Some(&token)).await;
    let mut followed = Followed::new(grpc.follow(0).await.unwrap(), 0);
    followed.until(operator.size()).await;
    assert_eq!(followed.leaves, leaves(&operator));

    // And while others seal.
    let sealing = async {
        seal(&server, &token, 150).await;
        operator.size()
    };
    let following = async {
        for _ in 0..12 {
            followed.step(Some(&mut asking)).await.unwrap();
        }
        &mut followed
    };
    let (size, followed) = tokio::join!(sealing, following);
    followed.until(size).await;
    let all = leaves(&operator);
    assert_eq!(followed.leaves, all);

    // A reader that was away goes on where it was, within a bundle and at its edge.
    for from in [1, 255, 256, 257, 511, 512, 700, size - 1] {
        let mut resumed = Followed::new(grpc.follow(from).await.unwrap(), from);
        resumed.until(size).await;
        assert_eq!(resumed.leaves, all[usize::try_from(from).unwrap()..], "from {from}");
    }
    // With nothing to catch up the checkpoint comes at once, and then nothing until something is sealed.
    let mut resumed = Followed::new(grpc.follow(size).await.unwrap(), size);
    resumed.step(None).await.unwrap();
    assert_eq!(resumed.checkpoint.as_ref().unwrap().size, size);
    assert!(resumed.items.is_quiet().await);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_alone_are_sent_to_those_who_ask_for_them_alone() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let mut grpc = Grpc::connect(&server, bot.token.as_deref()).await;
    let asked = FollowRequest { from: 0, checkpoints_only: true };
    let mut items = Items(within(grpc.log.follow(asked)).await.unwrap().into_inner());
    let mut sizes = Vec::new();
    for _ in 0..4 {
        let Item::Checkpoint(checkpoint) = items.next().await.unwrap() else { panic!("leaves") };
        assert_eq!(checkpoint.note, bot.get("/checkpoint").text());
        sizes.push(checkpoint.size);
        bot.seal(&allowed("bot"));
    }
    assert!(sizes.is_sorted_by(|a, b| *b == a + 1), "{sizes:?}");
    server.stop();
}

/// Readers that do not read hold up nobody, and miss nothing when they read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_are_not_waited_for_and_cost_little() {
    const READERS: usize = 40;
    let home = Home::with_ledger();
    let server = home.serve();
    let token = server.agent("bot").token.unwrap();
    let mut sealing = Grpc::connect(&server, Some(&token)).await;
    let intents = (0..420).map(|_| {
        let mut intent = allowed("bot");
        // Leaves that are large: each call is in them.
        let call = intent["calls"][0].clone();
        let calls = (0..64).map(|number| {
            let mut call = call.clone();
            call["id"] = format!("c{number}").into();
            call
        });
        intent["calls"] = calls.collect();
        body(&intent)
    });
    let (answers, end) = sealing.stream(intents.collect()).await.rest().await;
    assert!(end.is_none() && answers.len() == 420, "{end:?}");
    let before = resident_kib(&server);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut grpc = Grpc::connect(&server, Some(&token)).await;
        readers.push(Followed::new(grpc.follow(0).await.unwrap(), 0));
    }
    // What can be sent to them is sent meanwhile.
    seal(&server, &token, 60).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (size, log) = (server.operator().size(), leaves(&server.operator()));
    let log_kib = log.iter().map(|leaf| leaf.len() as u64).sum::<u64>() / 1024;
    if let (Some(before), Some(after)) = (before, resident_kib(&server)) {
        let (grown, copies) = (after.saturating_sub(before), log_kib * READERS as u64);
        println!(
            "{READERS} unread readers of a log of {log_kib} KiB: {grown} KiB more; copies would be {copies} KiB"
        );
        assert!(grown < copies / 2, "{grown} KiB for readers that do not read");
    }
    for reader in readers.iter_mut().take(3) {
        reader.until(size).await;
        assert_eq!(reader.leaves, log);
    }
    server.stop();
}

/// What the process has in memory, where the system tells.
fn resident_kib(server: &Server) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.0.id())).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())
}
