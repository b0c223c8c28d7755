//! Proofs that a bundle demands before it becomes active. They are made beside everything else: what decides is not held
//! up, and a bundle of which something is not proven leaves the active one as it is.

use std::sync::Arc;

use serde_json::Value;

use super::Service;
use super::error::{ErrorCode, ServiceError};
use crate::policy::Engine;

#[cfg(not(feature = "prove"))]
impl Service {
    /// What was proven of a bundle that demands it; `None` where it does not.
    pub(super) async fn proofs_of(&self, engine: &Arc<Engine>) -> Result<Option<Value>, ServiceError> {
        match engine.bundle().manifest().proofs_required {
            false => Ok(None),
            true => {
                let detail = "the bundle demands proofs, and this build cannot prove";
                let hint = "run a build with the feature `prove`, with cvc5; or remove \"proofs\" from manifest.json";
                Err(ServiceError::new(ErrorCode::NotProven, detail).hint(hint))
            }
        }
    }
}

#[cfg(feature = "prove")]
impl Service {
    /// Proves with this solver what bundles demand.
    #[must_use]
    pub fn with_solver(mut self, solver: Arc<dyn crate::policy::prove::Solver>) -> Self {
        *self.solver.get_mut() = Some(solver);
        self
    }

    /// What was proven of a bundle that demands it; `None` where it does not.
    pub(super) async fn proofs_of(&self, engine: &Arc<Engine>) -> Result<Option<Value>, ServiceError> {
        use crate::policy::prove::{Answer, Proof, Prover};

        if !engine.bundle().manifest().proofs_required {
            return Ok(None);
        }
        // Held while proving: a second bundle waits for its turn, and for nothing else.
        let solver = self.solver.lock().await;
        let Some(solver) = solver.as_ref().map(Arc::clone) else {
            let detail = "the bundle demands proofs, and this service found no solver when it started";
            let hint =
                "install cvc5 (Debian: apt-get install cvc5), or name it in FORESEAL_SOLVER, and restart";
            return Err(ServiceError::new(ErrorCode::NotProven, detail).hint(hint));
        };
        let (engine, asked) = (Arc::clone(engine), Arc::clone(&solver));
        let proofs: Vec<(String, Proof)> = super::blocking(move || {
            asked.begin();
            let claims = engine.bundle().claims().iter();
            let proofs =
                claims.map(|claim| (claim.id.clone(), Prover::prove(&engine, &*asked, &claim.property)));
            Ok(proofs.collect())
        })
        .await?;
        let missing: Vec<String> = proofs
            .iter()
            .filter(|(_, proof)| proof.answer != Answer::Proven)
            .map(|(id, proof)| {
                let found = proof.findings.first();
                let of = found.and_then(|found| found.tool.as_ref().or(found.rule.as_ref()));
                let what = found.map(|found| found.what.as_str()).unwrap_or_default();
                let of = of.map(|of| format!("{of}: ")).unwrap_or_default();
                format!("{id} ({}): {}: {of}{what}", proof.property, proof.answer.as_str())
            })
            .collect();
        if !missing.is_empty() {
            return Err(ServiceError::new(ErrorCode::NotProven, missing.join("\n"))
                .hint("`foreseal policy prove DIR` shows the calls that stand against it"));
        }
        Ok(Some(record(solver.about(), &proofs)))
    }
}

/// What is sealed: enough to ask the same questions again and to see that they are the same.
#[cfg(feature = "prove")]
fn record(solver: &str, proofs: &[(String, crate::policy::prove::Proof)]) -> Value {
    let proven: Vec<Value> = proofs
        .iter()
        .map(|(id, proof)| {
            serde_json::json!({"id": id, "property": proof.property, "answer": proof.answer.as_str(),
                               "queries": proof.queries, "queries_digest": proof.queries_digest})
        })
        .collect();
    serde_json::json!({"solver": solver, "foreseal": env!("CARGO_PKG_VERSION"), "proven": proven})
}
