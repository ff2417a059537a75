//! Creates the model's proxy for a sandboxed agent: it has the key, counts the usage, and applies the cost limit.

use super::agent_event::{Tokens, UsageTotal};
use super::environment::{CERTIFICATES, Environment};
use super::limit_failure::cost_limit_failure;
use super::prices::{BilledTokens, Prices};
use super::run_state::SharedRunState;
use pullyard_agent_proxy::model::{Meter, ModelProxy, Provider, Usage};
use pullyard_domain::failure::Failure;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) const PLACEHOLDER_KEY: &str = "placeholder";

/// Creates a proxy for one start of the agent. `limit` is the rest of the cost limit.
/// Errors: the file of certificates cannot be read, or the proxy cannot use it.
pub(super) fn create_proxy(
    provider: Provider,
    environment: &Environment<'_>,
    limit: Option<u64>,
    run_state: &SharedRunState,
) -> Result<ModelProxy, Failure> {
    let authorities = match environment.get(CERTIFICATES) {
        Some(path) => std::fs::read(&path).map_err(|error| {
            let path = Path::new(&path).display();
            Failure::SandboxFailed { reason: format!("{CERTIFICATES} names {path}, which can't be read: {error}") }
        })?,
        None => Vec::new(),
    };
    let (prices, run_state) = (Prices::from_environment(environment), run_state.clone());
    let meter = CostMeter { prices, limit, run_state, requests: Mutex::default() };
    ModelProxy::new(provider, &authorities, Arc::new(meter))
        .map_err(|error| Failure::SandboxFailed { reason: format!("the model's proxy did not start: {error}") })
}

/// Adds up the usage of all requests. It replaces the agent's own reports, in which an agent could hide its cost.
/// Units: millionths of a US dollar.
struct CostMeter {
    prices: Prices,
    limit: Option<u64>,
    run_state: SharedRunState,
    requests: Mutex<BTreeMap<u64, UsageTotal>>,
}

impl CostMeter {
    fn price(&self, usage: &Usage) -> UsageTotal {
        let tokens = Tokens { input: usage.input, cached: usage.cached, output: usage.output };
        let billed = BilledTokens { tokens, cache_write: usage.cache_write };
        let model = usage.model.as_deref().unwrap_or_default();
        let cost = self.prices.cost(model, billed);
        let cost_upper_bound = cost.unwrap_or_else(|| self.prices.highest_cost(billed));
        UsageTotal { tokens, cost, cost_upper_bound, ..UsageTotal::default() }
    }

    fn total(&self) -> UsageTotal {
        let mut total = UsageTotal::default();
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.values().for_each(|request| total += *request);
        total
    }

    fn is_used_up(&self, total: &UsageTotal) -> bool {
        self.limit.is_some_and(|limit| total.cost_upper_bound >= limit)
    }
}

impl Meter for CostMeter {
    fn check(&self) -> Result<(), String> {
        let total = self.total();
        if !self.is_used_up(&total) {
            return Ok(());
        }
        self.run_state.note_refused_request();
        Err(cost_limit_failure(total.cost_upper_bound, self.limit.unwrap_or_default()).sentence())
    }

    fn record(&self, request: u64, usage: &Usage, is_complete: bool) -> bool {
        let request_usage = self.price(usage);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).insert(request, request_usage);
        let total = self.total();
        self.run_state.set_metered_usage(&total);
        let may_continue = is_complete || !self.is_used_up(&total);
        if !may_continue {
            self.run_state.note_refused_request();
        }
        may_continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A meter whose limit is the price of a million tokens of output of an unknown model.
    fn meter() -> CostMeter {
        let prices = Prices::default();
        let million = Tokens { output: 1_000_000, ..Tokens::default() };
        let limit = Some(prices.highest_cost(BilledTokens { tokens: million, cache_write: 0 }));
        CostMeter { prices, limit, run_state: SharedRunState::metered(), requests: Mutex::default() }
    }

    fn usage(model: &str, output: u64) -> Usage {
        Usage { model: Some(model.into()), output, ..Usage::default() }
    }

    #[test]
    fn next_request_is_refused_when_the_limit_is_used_up() {
        let meter = meter();
        assert!(
            meter.record(1, &usage("unknown", 200_000), false) && meter.record(1, &usage("unknown", 700_000), true)
        );
        assert!(meter.check().is_ok(), "totals of one request replace each other");
        assert!(meter.record(2, &usage("unknown", 300_000), true), "a complete answer is not cut");
        assert!(!meter.run_state.lock().has_refused_request);
        assert!(meter.check().is_err());
        assert!(meter.run_state.lock().has_refused_request);
    }

    #[test]
    fn unfinished_answer_is_cut_at_the_limit() {
        let meter = meter();
        assert!(meter.record(1, &usage("unknown", 999_999), false));
        assert!(!meter.record(1, &usage("unknown", 1_000_000), false));
        assert!(meter.run_state.lock().has_refused_request);
    }

    #[test]
    fn model_without_a_price_hides_no_known_cost() {
        let meter = meter();
        meter.record(1, &usage("claude-opus-4-8", 1_000), true);
        let known = meter.run_state.lock().cost.unwrap();
        meter.record(2, &usage("unknown", 1_000), true);
        let record = meter.run_state.lock();
        assert_eq!((record.cost, record.tokens.output), (Some(known), 2_000));
        assert!(record.cost_upper_bound > known);
    }
}
