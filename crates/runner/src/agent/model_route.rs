//! How a sandboxed agent reaches its model: by a proxy that has the key, and that applies the cost limit.

use super::agent_event::Tokens;
use super::environment::{CODEX_PRICES, Environment};
use super::limit_failure::cost_limit_failure;
use super::limits::{Limits, UsageTotal};
use super::prices::{BilledTokens, Prices};
use pullyard_agent_proxy::model::{Api, Key, Meter, ModelProxy, Usage};
use pullyard_domain::failure::Failure;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What the agent gets instead of its key.
pub(super) const PLACEHOLDER_KEY: &str = "placeholder";

pub(super) struct ModelRoute {
    pub(super) api: Api,
    pub(super) base_url: String,
    pub(super) key: Key,
}

impl ModelRoute {
    /// A proxy for one start of the agent. `spent` is the usage of earlier starts.
    pub(super) fn into_proxy(
        self,
        limits: &Limits,
        spent: &UsageTotal,
        environment: &Environment<'_>,
    ) -> Result<ModelProxy, Failure> {
        let prices = environment.get(CODEX_PRICES).and_then(|prices| prices.into_string().ok());
        let meter = CostMeter {
            prices: Prices::parse(prices.as_deref().unwrap_or_default()),
            limit: limits.cost,
            spent: spent.cost_upper_bound,
            requests: Mutex::default(),
        };
        ModelProxy::new(self.api, &self.base_url, self.key, Arc::new(meter))
            .map_err(|error| Failure::SandboxFailed { reason: format!("the model's proxy did not start: {error}") })
    }
}

/// Adds up the cost of all requests, so that an agent that hides its usage stops at the limit as well. Units: millionths
/// of a US dollar.
struct CostMeter {
    prices: Prices,
    limit: Option<u64>,
    spent: u64,
    requests: Mutex<BTreeMap<u64, u64>>,
}

impl CostMeter {
    fn total(&self) -> u64 {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.values().fold(self.spent, |sum, cost| sum.saturating_add(*cost))
    }
}

impl Meter for CostMeter {
    fn check(&self) -> Result<(), String> {
        let total = self.total();
        match self.limit {
            Some(limit) if total >= limit => Err(cost_limit_failure(total, limit).sentence()),
            _ => Ok(()),
        }
    }

    fn record(&self, request: u64, usage: &Usage) -> bool {
        let tokens = Tokens { input: usage.input, cached: usage.cached, output: usage.output };
        let billed = BilledTokens { tokens, cache_write: usage.cache_write };
        let known = usage.model.as_deref().and_then(|model| self.prices.cost(model, billed));
        let cost = known.unwrap_or_else(|| self.prices.highest_cost(billed));
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).insert(request, cost);
        // An answer that passes the limit may end, as without a proxy. At twice the limit it is cut.
        self.limit.is_none_or(|limit| self.total() < limit.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_request_is_refused_when_the_limit_is_used_up() {
        let prices = Prices::default();
        let one = Tokens { output: 1_000_000, ..Tokens::default() };
        let price = prices.highest_cost(BilledTokens { tokens: one, cache_write: 0 });
        let meter = CostMeter { prices, limit: Some(price), spent: price / 2, requests: Mutex::default() };
        let usage = |output| Usage { model: Some("unknown".into()), output, ..Usage::default() };
        assert!(meter.record(1, &usage(200_000)) && meter.record(1, &usage(400_000)));
        assert!(meter.check().is_ok(), "totals of one request replace each other");
        assert!(meter.record(2, &usage(200_000)));
        assert!(meter.check().is_err());
        assert!(!meter.record(2, &usage(1_200_000)), "the answer is cut");
    }
}
