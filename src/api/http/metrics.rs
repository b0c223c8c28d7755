//! What the service counts about itself, as Prometheus and OpenMetrics read it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::credentials::bearer;
use super::{App, Problem};
use crate::service::{Distribution, ErrorCode, Service, ServiceError};

/// The media type of the OpenMetrics text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics`. Names no agent, session, tool or rule: whoever watches need not know them.
pub(super) async fn metrics(State(service): App, headers: HeaderMap) -> Result<Response, Problem> {
    bearer(&headers)
        .and_then(|token| service.authenticate(token))
        .map_err(|error| Problem::counted(&service, error))?;
    let mut registry = Registry::with_prefix("foreseal");
    registry.register_collector(Box::new(Watched(service)));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| {
        Problem(ServiceError::new(ErrorCode::Damaged, format!("writing metrics: {error}")))
    })?;
    Ok(([(header::CONTENT_TYPE, OPENMETRICS), (header::CACHE_CONTROL, "no-store")], text).into_response())
}

/// The service as it is at the moment of a scrape.
#[derive(Debug)]
struct Watched(Arc<Service>);

/// A gauge: its name, what it says, how it is read.
type Gauge = (&'static str, &'static str, fn(&Service) -> f64);

const GAUGES: &[Gauge] = &[
    ("log_size", "Leaves under the newest signed checkpoint", |service| as_float(service.published().size)),
    ("checkpoint_age_seconds", "Time since the newest leaf; grows while nothing is submitted", |service| {
        seconds(service.ledger().checkpoint_age_ms())
    }),
    ("clock_behind_seconds", "How far the clock stands behind the newest leaf", |service| {
        seconds(service.ledger().clock_behind_ms())
    }),
    ("queue_intents", "Intents admitted and not yet answered", |service| {
        in_float(service.ledger().in_hand())
    }),
    ("index_lag_rows", "Sealed intents that the index on disk does not have yet", |service| {
        in_float(service.ledger().index_lag_rows())
    }),
    ("replay_bytes", "Journal bytes that no snapshot covers: what a restart reads", |service| {
        as_float(service.ledger().measures().replay_bytes.load(Ordering::Relaxed))
    }),
    ("ready", "1 if an intent would be sealed now, else 0", |service| {
        f64::from(u8::from(service.readiness().is_ok()))
    }),
    ("poisoned", "1 once a write has failed and nothing is sealed any more", |service| {
        f64::from(u8::from(service.ledger().poisoned().is_some()))
    }),
    ("policy_active", "1 if a policy decides; without one everything is denied", |service| {
        f64::from(u8::from(service.policy().is_some()))
    }),
];

/// A histogram: its name, what it says, how many of its units make one, how it is read.
type Spread = (&'static str, &'static str, f64, fn(&Service) -> Distribution);

const SPREADS: &[Spread] = &[
    ("answer_seconds", "From an intent's admission to its answer, sealed and signed", 1e6, |service| {
        service.ledger().measures().answer_us.distribution()
    }),
    ("decide_seconds", "The facts of one intent and the rules about them", 1e6, |service| {
        service.ledger().measures().decide_us.distribution()
    }),
    ("journal_seconds", "Writing and syncing one frame of the journal", 1e6, |service| {
        service.ledger().measures().journal_us.distribution()
    }),
    ("batch_entries", "Leaves sealed by one frame", 1.0, |service| {
        service.ledger().measures().batch_entries.distribution()
    }),
];

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let service = &*self.0;
        for (name, help, read) in GAUGES {
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&read(service))?;
        }
        for (name, help, unit, read) in SPREADS {
            let found = read(service);
            let count = found.counts.iter().map(|(_, count)| count).sum();
            let bound = |bound: Option<u64>| bound.map_or(f64::MAX, |bound| as_float(bound) / unit);
            let buckets: Vec<(f64, u64)> =
                found.counts.iter().map(|(at, count)| (bound(*at), *count)).collect();
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            metric.encode_histogram::<NoLabelSet>(as_float(found.sum) / unit, count, &buckets, None)?;
        }
        let decided =
            service.ledger().measures().outcomes().map(|(outcome, count)| (outcome.to_string(), count));
        counts(&mut encoder, "intents", "Intents sealed, by what was decided", "outcome", &decided)?;
        let refused: Vec<(String, u64)> =
            service.refused().map(|(code, count)| (code.as_str().to_owned(), count)).collect();
        counts(
            &mut encoder,
            "refused",
            "Requests refused before anything was sealed, by error code",
            "code",
            &refused,
        )?;
        let about = [("version", env!("CARGO_PKG_VERSION")), ("origin", service.ledger().origin())];
        encoder.encode_descriptor("build", "What is running", None, MetricType::Info)?.encode_info(&about)
    }
}

/// A counter with one label.
fn counts(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: &[(String, u64)],
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (value, count) in values {
        let labels = [(label, value.as_str())];
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
    }
    Ok(())
}

/// Exact to 2^53, which none of these reaches.
#[expect(clippy::cast_precision_loss, reason = "a metric is a float")]
fn as_float(value: u64) -> f64 {
    value as f64
}

fn in_float(value: usize) -> f64 {
    as_float(u64::try_from(value).unwrap_or(u64::MAX))
}

fn seconds(milliseconds: i64) -> f64 {
    as_float(u64::try_from(milliseconds).unwrap_or(0)) / 1e3
}
