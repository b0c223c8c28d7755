//! The binary as a process: commands that end, and services that stay until they are told to end or dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::http::Client;

/// Long enough for a loaded machine of two cores, short enough to see a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, with nothing of this process's configuration.
pub(crate) fn foreseal() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreseal"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FORESEAL_") {
            command.env_remove(name);
        }
    }
    command
}

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ended {
    run_with(command, b"")
}

/// Runs a command to its end, with this standard input.
#[track_caller]
pub(crate) fn run_with(command: &mut Command, input: &[u8]) -> Ended {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    // A command that does not read its input closes it; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input);
    let mut child = KillOnDrop(child);
    let status = child.wait(PATIENCE).unwrap_or_else(|| panic!("{command:?} did not end"));
    Ended { code: status.code(), stdout: stdout.recv().unwrap(), stderr: stderr.recv().unwrap() }
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> Receiver<String> {
    let mut pipe = pipe.unwrap();
    let (told, text) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = told.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    text
}

/// A child that does not outlive its test.
pub(crate) struct KillOnDrop(pub(crate) Child);

impl KillOnDrop {
    /// Waits for the end, at most so long.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM to this process and no other. The shell's own `kill` is there wherever a shell is.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.0.id())]).status().unwrap();
        assert!(sent.success(), "SIGTERM could not be sent");
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory of its own for one test, with the names a ledger has in it.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// With a ledger of the origin `example.com/log` in it.
    pub(crate) fn with_ledger() -> Self {
        let home = Self::new();
        run(foreseal().args(["init", "--origin", ORIGIN, "--data"]).arg(home.data())).expect(0);
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("ledger")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.path("ledger.keys")
    }

    pub(crate) fn trust(&self) -> PathBuf {
        self.data().join("trust.policy")
    }

    pub(crate) fn trust_text(&self) -> String {
        std::fs::read_to_string(self.trust()).unwrap()
    }

    pub(crate) fn admin_token(&self) -> String {
        std::fs::read_to_string(self.keys().join("admin.token")).unwrap().trim().to_owned()
    }

    /// Writes a file and names it.
    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The service over this ledger, with the starter policy.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&["--policies", STARTER])
    }

    pub(crate) fn serve_with(&self, more: &[&str]) -> Server {
        Server::start(self.serve_command(more), &self.admin_token())
    }

    pub(crate) fn serve_command(&self, more: &[&str]) -> Command {
        let mut command = foreseal();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(self.data()).args(more);
        command
    }
}

/// The name of the log in these tests.
pub(crate) const ORIGIN: &str = "example.com/log";
/// The bundle that comes with the program.
pub(crate) const STARTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/starter");

/// A running service.
pub(crate) struct Server {
    pub(crate) child: KillOnDrop,
    pub(crate) address: SocketAddr,
    admin_token: String,
    log: Arc<Mutex<Vec<String>>>,
    log_ended: Receiver<()>,
}

impl Server {
    /// Starts it and waits until it says that it is ready, and where.
    #[track_caller]
    pub(crate) fn start(mut command: Command, admin_token: &str) -> Self {
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = KillOnDrop(piped.spawn().unwrap());
        // Nothing is said on stdout; that it is empty is asserted where the service ends.
        let stderr = BufReader::new(child.0.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, theirs) = (channel(), Arc::clone(&log));
        let (told, log_ended) = channel::<()>();
        let (tell_line, line) = lines;
        std::thread::spawn(move || {
            let _told = told;
            for line in stderr.lines().map_while(Result::ok) {
                theirs.lock().unwrap().push(line.clone());
                let _ = tell_line.send(line);
            }
        });
        let until = Instant::now() + PATIENCE;
        let address = loop {
            match line.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let place = line.strip_prefix("foreseal ready on http");
                    if let Some((_, rest)) = place.and_then(|place| place.split_once("://")) {
                        break rest.split(',').next().unwrap().parse().unwrap();
                    }
                }
                Err(error) => {
                    let ended = child.0.try_wait().unwrap();
                    let said = log.lock().unwrap().join("\n");
                    panic!("the service is not ready ({error}, {ended:?}):\n{said}");
                }
            }
        };
        Self { child, address, admin_token: admin_token.to_owned(), log, log_ended }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks with this token.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client { address: self.address, token: Some(token.to_owned()) }
    }

    /// Asks without a token.
    pub(crate) fn stranger(&self) -> Client {
        Client { address: self.address, token: None }
    }

    /// Asks as the operator.
    pub(crate) fn operator(&self) -> Client {
        self.client(&self.admin_token)
    }

    /// Registers an agent over HTTP; asks as it.
    pub(crate) fn agent(&self, name: &str) -> Client {
        let body = serde_json::json!({ "name": name, "roles": ["assistant"] });
        let answer = self.operator().post("/v1/agents", body.to_string());
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.client(answer.json()["token"].as_str().unwrap())
    }

    /// The lines it wrote so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for its end; the lines it wrote, what it wrote on stdout, and its exit code.
    #[track_caller]
    pub(crate) fn ended(mut self, patience: Duration) -> Ended {
        let status = self.child.wait(patience);
        let status = status.unwrap_or_else(|| panic!("the service did not end:\n{}", self.log().join("\n")));
        assert_eq!(self.log_ended.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        let mut stdout = String::new();
        self.child.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        Ended { code: status.code(), stdout, stderr: self.log().join("\n") }
    }

    /// SIGTERM, and a clean end within what is promised.
    #[track_caller]
    pub(crate) fn stop(self) -> Ended {
        self.child.terminate();
        self.ended(Duration::from_secs(20)).expect(0)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }
}

/// The independent verifier of `tools/independent`, if this machine can run it; else a line that says it is skipped.
pub(crate) fn independent(what: &str) -> Option<Command> {
    let works = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !works.is_ok_and(|status| status.success()) {
        eprintln!("skipped: {what} by the independent verifier (there is no python3)");
        return None;
    }
    let mut command = Command::new("python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/independent/verifier.py"));
    command.env_remove("FORESEAL_TOKEN").env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
