//! TLS on the listener, judged by curl: who does not know the certificate does not speak to it, and who does gets what
//! everyone gets in the clear elsewhere.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use foreseal::record::limits;
use serde_json::Value;

use super::agents::allowed;
use super::process::{Ended, Home, STARTER, Server, foreseal, run};

/// A certificate for loopback and its key, as files.
fn certificate(home: &Home, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let cert = home.file(&format!("{name}.pem"), made.cert.pem());
    let key = home.file(&format!("{name}.key"), made.signing_key.serialize_pem());
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    (cert, key)
}

fn serve(home: &Home, cert: &Path, key: &Path) -> Server {
    let arguments =
        ["--policies", STARTER, "--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    Server::start(home.serve_command(&arguments), &home.admin_token())
}

/// Asks with curl; `None` where there is none.
fn curl(server: &Server, path: &str, arguments: &[&str]) -> Option<Ended> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "60", "--noproxy", "*"]).args(arguments);
    command.arg(format!("https://{}{path}", server.address));
    if Command::new("curl").arg("--version").output().is_err() {
        eprintln!("skipped: TLS as curl sees it (there is no curl)");
        return None;
    }
    Some(run(&mut command))
}

#[test]
fn over_tls_everything_is_as_it_is_in_the_clear_and_in_the_clear_there_is_nothing() {
    let home = Home::with_ledger();
    let (cert, key) = certificate(&home, "service");
    let (other, _) = certificate(&home, "other");
    let server = serve(&home, &cert, &key);
    let (cert, other) = (cert.to_str().unwrap(), other.to_str().unwrap());
    let Some(version) =
        curl(&server, "/healthz", &["--cacert", cert, "--http1.1", "--write-out", "%{http_version}"])
    else {
        return;
    };
    assert_eq!(version.expect(0).stdout, "ok\n1.1");
    let both = curl(&server, "/healthz", &["--cacert", cert, "--write-out", "%{http_version}"]).unwrap();
    if run(Command::new("curl").arg("--version")).stdout.contains("HTTP2") {
        assert_eq!(both.expect(0).stdout, "ok\n2");
    } else {
        eprintln!("skipped: HTTP/2 over TLS (this curl does not speak it)");
    }
    // 60: the peer's certificate is not one that is known.
    curl(&server, "/healthz", &["--cacert", other]).unwrap().expect(60);
    curl(&server, "/healthz", &["--cacert", cert, "--tls-max", "1.1"]).unwrap();
    let authorization = format!("Authorization: Bearer {}", home.admin_token());
    let json = "Content-Type: application/json";
    let post = ["--cacert", cert, "-H", &authorization, "-H", json, "--data-binary"];
    let body = r#"{"name":"bot","roles":["assistant"]}"#;
    let agent = curl(&server, "/v1/agents", &[&post[..], &[body]].concat()).unwrap().expect(0).json();
    let authorization = format!("Authorization: Bearer {}", agent["token"].as_str().unwrap());
    let intent = allowed("bot").to_string();
    let post = ["--cacert", cert, "-H", &authorization, "-H", json, "--data-binary", &intent];
    let answer = curl(&server, "/v1/intents", &post).unwrap().expect(0);
    let decision: Value = answer.json();
    assert_eq!(decision["decision"]["outcome"], "allow", "{}", answer.stdout);
    // In the clear nothing is understood, and nothing answered.
    let mut clear = TcpStream::connect(server.address).unwrap();
    clear.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    clear.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    let _ = clear.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&bytes));
    assert!(server.log().iter().any(|line| line.contains("ready on https://")));
    server.stop();
}

#[test]
fn a_handshake_that_does_not_come_gives_its_connection_back() {
    let home = Home::with_ledger();
    let (cert, key) = certificate(&home, "service");
    let server = serve(&home, &cert, &key);
    let mut silent = TcpStream::connect(server.address).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The beginning of a record of 512 bytes that never come.
    silent.write_all(&[22, 3, 1, 2, 0]).unwrap();
    let since = Instant::now();
    let mut bytes = Vec::new();
    let _ = silent.read_to_end(&mut bytes);
    assert!(
        since.elapsed() < Duration::from_millis(limits::HANDSHAKE_MAX_MS + 5_000),
        "{:?}",
        since.elapsed()
    );
    // One that is in the midst of it does not hold up the end.
    let mut shaking = TcpStream::connect(server.address).unwrap();
    shaking.write_all(&[22, 3, 1, 2, 0]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let since = Instant::now();
    server.stop();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[test]
fn a_certificate_that_does_not_fit_ends_the_start_and_config_check_says_so_before() {
    let home = Home::with_ledger();
    let (cert, key) = certificate(&home, "service");
    let (_, other_key) = certificate(&home, "other");
    let empty = home.file("empty.pem", "");
    let check = |cert: &Path, key: &Path| {
        let mut command = foreseal();
        command.args(["config", "check", "--listen", "0.0.0.0:0", "--data"]).arg(home.data());
        run(command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key))
    };
    let fine = check(&cert, &key).expect(0).stdout;
    assert!(fine.contains("✓ the TLS certificate and its key fit"), "{fine}");
    assert!(!fine.contains("has no TLS"), "{fine}");
    let config = format!("data = {:?}\n[tls]\ncert = {cert:?}\nkey = {key:?}\n", home.data());
    let config = home.file("foreseal.toml", config);
    let in_file = run(foreseal().args(["config", "check", "--config"]).arg(&config)).expect(0).stdout;
    assert!(in_file.contains("✓ tls.key: ") && in_file.contains("service.key (file)"), "{in_file}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = check(&cert, &key).expect(1).stdout;
    assert!(open.contains("everyone may read it"), "{open}");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let secret = std::fs::read_to_string(&key).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    for (cert, key) in [(&cert, &other_key), (&cert, &empty), (&empty, &key), (&key, &key), (&cert, &cert)] {
        check(cert, key).expect(1);
        let arguments = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
        let ended = run(&mut home.serve_command(&arguments)).expect(2);
        assert!(ended.stderr.contains("hint: ") && ended.stderr.contains("tls"), "{}", ended.stderr);
        assert!(!ended.stderr.contains(secret), "the key is in the message");
    }
    let half = run(&mut home.serve_command(&["--tls-cert", cert.to_str().unwrap()])).expect(2).stderr;
    assert!(half.contains("--tls-key"), "{half}");
}
