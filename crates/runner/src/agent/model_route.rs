//! Creates the model's proxy for a sandboxed agent. The proxy has the key, and `cost_meter` applies the limits.

use super::cost_meter::CostMeter;
use super::environment::{CERTIFICATES, Environment};
use pullyard_agent_proxy::model::{ModelProxy, Upstream};
use pullyard_domain::text::failure::Failure;
use std::path::Path;
use std::sync::Arc;

pub(super) const PLACEHOLDER_KEY: &str = "placeholder";

/// Creates a proxy for one start of the agent.
/// Errors: the file of certificates cannot be read, or the proxy cannot use it.
pub(super) fn create_proxy(
    upstream: Upstream,
    environment: &Environment<'_>,
    meter: Arc<CostMeter>,
) -> Result<ModelProxy, Failure> {
    let authorities = match environment.get(CERTIFICATES) {
        Some(path) => std::fs::read(&path).map_err(|error| {
            let path = Path::new(&path).display();
            Failure::SandboxFailed { reason: format!("{CERTIFICATES} names {path}, which can't be read: {error}") }
        })?,
        None => Vec::new(),
    };
    ModelProxy::new(upstream, &authorities, meter)
        .map_err(|error| Failure::SandboxFailed { reason: format!("the model's proxy did not start: {error}") })
}
