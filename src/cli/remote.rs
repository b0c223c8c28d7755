//! A small blocking HTTP client, for what asks a running service.

use std::io::Read as _;
use std::time::Duration;

use serde_json::Value;

use crate::evidence::audit::{LogReader, ReadLogError};
use crate::merkle::{Hash, TilePath};
use crate::record::limits;

const TIMEOUT: Duration = Duration::from_millis(limits::REQUEST_MAX_MS);
#[cfg(feature = "server")]
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const BODY_MAX_BYTES: u64 = 64 << 20;

/// A service, and the token to ask it with.
pub(super) struct Remote {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// An answer, whatever its status.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Remote {
    pub(super) fn new(url: &str, token: Option<&str>) -> Self {
        // A redirect would carry the token elsewhere.
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Self {
            agent: config.into(),
            base: url.trim_end_matches('/').to_owned(),
            token: token.map(str::to_owned),
        }
    }

    pub(super) fn get(&self, path: &str) -> Result<Response, String> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        read(request.call())
    }

    #[cfg(feature = "server")]
    pub(super) fn post_json(&self, path: &str, body: &[u8]) -> Result<Response, String> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).content_type("application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        read(request.send(body))
    }

    /// Posts, and hands out the body of a `201` piece by piece, whatever its length; any other answer is given whole.
    #[cfg(feature = "server")]
    pub(super) fn download(
        &self,
        path: &str,
        body: &[u8],
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Option<Response>, String> {
        // The range is read before the first byte comes: only that there is progress can be asked for.
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(TIMEOUT))
            .timeout_send_body(Some(TIMEOUT))
            .timeout_recv_response(Some(DOWNLOAD_TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        let agent: ureq::Agent = config.into();
        let mut request = agent.post(format!("{}{path}", self.base)).content_type("application/json");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.send(body).map_err(|error| error.to_string())?;
        if response.status().as_u16() != 201 {
            return read(Ok(response)).map(Some);
        }
        let mut reader = response.into_body().into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = reader.read(&mut buffer).map_err(|error| error.to_string())?;
            let Some(piece) = buffer.get(..count).filter(|piece| !piece.is_empty()) else { return Ok(None) };
            take(piece)?;
        }
    }

    pub(super) fn consistency(&self, from: u64, to: u64) -> Result<Vec<Hash>, String> {
        let response = self.get(&format!("/v1/proofs/consistency?from={from}&to={to}"))?;
        if response.status != 200 {
            return Err(response.problem());
        }
        let value: Value = serde_json::from_slice(&response.body).map_err(|e| e.to_string())?;
        let proof = value.get("proof").cloned().ok_or("the answer has no proof")?;
        serde_json::from_value(proof).map_err(|e| e.to_string())
    }

    fn resource(&self, path: &str) -> Result<Vec<u8>, ReadLogError> {
        let unreachable = |why| ReadLogError::Unreachable { what: path.to_owned(), why };
        let response = self.get(path).map_err(unreachable)?;
        match response.status {
            200 => Ok(response.body),
            404 => Err(ReadLogError::Missing(path.to_owned())),
            _ => Err(unreachable(response.problem())),
        }
    }
}

impl Response {
    /// Whether the problem says that nothing was sealed. Anything less leaves it open.
    #[cfg(feature = "server")]
    pub(super) fn was_not_sealed(&self) -> bool {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        value.get("sealed") == Some(&Value::Bool(false))
    }

    /// What a problem says, for a person.
    pub(super) fn problem(&self) -> String {
        let value: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        match (text("code"), text("detail"), text("hint")) {
            (Some(code), Some(detail), Some(hint)) => format!("{} {code}: {detail} ({hint})", self.status),
            (Some(code), Some(detail), None) => format!("{} {code}: {detail}", self.status),
            _ => format!("status {}", self.status),
        }
    }
}

fn read(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Response, String> {
    let response = result.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    let mut reader = response.into_body().into_with_config().limit(BODY_MAX_BYTES).reader();
    reader.read_to_end(&mut body).map_err(|error| error.to_string())?;
    Ok(Response { status, body })
}

impl LogReader for Remote {
    fn checkpoint(&self) -> Result<String, ReadLogError> {
        let unreachable = |why: String| ReadLogError::Unreachable { what: "/checkpoint".to_owned(), why };
        let bytes = self.resource("/checkpoint").map_err(|error| unreachable(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| unreachable("it is not UTF-8".to_owned()))
    }

    fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ReadLogError> {
        self.resource(&format!("/{path}"))
    }
}
