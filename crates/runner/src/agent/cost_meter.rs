//! Applies the limits on cost and turns to an agent's requests to its model, and adds up their usage.
//!
//! A request reserves its greatest cost when it starts. If the rest of the limit is smaller, the request waits until no
//! other runs, and then starts with the output that the rest pays for. It fails when the rest pays for no useful output.

use super::agent_event::{Tokens, UsageTotal};
use super::environment::Environment;
use super::limit_failure::next_cost_failure;
use super::prices::{BilledTokens, Prices};
use super::run_state::{RefusedFor, SharedRunState};
use pullyard_agent_proxy::model::{Demand, Grant, Meter, RequestEnd, Usage};
use pullyard_domain::text::failure::Failure;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The rest of the limits after earlier starts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remaining {
    pub(super) turns: Option<u32>,
    /// Units: millionths of a US dollar.
    pub(super) cost: Option<u64>,
}

/// The requests of one start. They replace the agent's own reports, in which an agent could hide its cost.
/// Units: costs in millionths of a US dollar.
pub(super) struct CostMeter {
    prices: Prices,
    rest: Remaining,
    run_state: SharedRunState,
    requests: Mutex<Requests>,
}

#[derive(Default)]
struct Requests(BTreeMap<u64, MeteredRequest>);

struct MeteredRequest {
    /// As requested. The provider's answer may name another one.
    model: String,
    reserved: u64,
    /// The output that the rest of the limit paid for, if it is less than requested.
    lowered_output: Option<u64>,
    usage: UsageTotal,
    is_running: bool,
}

impl Requests {
    fn total(&self) -> UsageTotal {
        let mut total = UsageTotal::default();
        self.0.values().for_each(|request| total += request.usage);
        total
    }

    /// The cost once each running request used its reservation.
    fn committed(&self) -> u64 {
        let costs = self.0.values().map(|request| match request.is_running {
            true => request.usage.cost_upper_bound.max(request.reserved),
            false => request.usage.cost_upper_bound,
        });
        costs.fold(0, u64::saturating_add)
    }
}

impl CostMeter {
    pub(super) fn new(environment: &Environment<'_>, rest: Remaining, run_state: &SharedRunState) -> Self {
        let prices = Prices::from_environment(environment);
        Self { prices, rest, run_state: run_state.clone(), requests: Mutex::default() }
    }

    /// Counts the requests that still run at the end of the agent as cut.
    pub(super) fn cut_all(&self) {
        let mut requests = self.lock();
        requests.0.values_mut().filter(|request| request.is_running).for_each(MeteredRequest::cut);
        self.run_state.set_metered_turns(u32::try_from(requests.0.len()).unwrap_or(u32::MAX));
        self.run_state.set_metered_usage(&requests.total());
    }

    fn price(&self, usage: &Usage, requested_model: &str) -> UsageTotal {
        let tokens = Tokens { input: usage.input, cached: usage.cached, output: usage.output };
        let (cache_write, long_cache_write) = (usage.cache_write, usage.long_cache_write);
        let billed = BilledTokens { tokens, cache_write, long_cache_write };
        let model = usage.model.as_deref().unwrap_or(requested_model);
        let cost = self.prices.cost(model, billed);
        let cost_upper_bound = cost.unwrap_or_else(|| self.prices.highest_cost(billed));
        UsageTotal { tokens, cost, cost_upper_bound, ..UsageTotal::default() }
    }

    fn refuse(&self, refusal: RefusedFor, failure: &Failure) -> Grant {
        self.run_state.note_refused_request(refusal);
        Grant::Refuse(failure.sentence())
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MeteredRequest {
    /// The provider may bill output that it has not reported, so the request counts with its reservation.
    fn cut(&mut self) {
        let unknown = self.reserved.saturating_sub(self.usage.cost_upper_bound);
        self.usage.cost_upper_bound = self.usage.cost_upper_bound.saturating_add(unknown);
        if let Some(cost) = &mut self.usage.cost {
            *cost = cost.saturating_add(unknown);
            self.usage.estimated_cost = unknown;
        }
        self.is_running = false;
    }
}

impl Meter for CostMeter {
    fn reserve(&self, request: u64, demand: &Demand) -> Grant {
        let mut requests = self.lock();
        let turns = u32::try_from(requests.0.len()).unwrap_or(u32::MAX);
        if let Some(limit) = self.rest.turns.filter(|limit| turns >= *limit) {
            return self.refuse(RefusedFor::Turns, &Failure::TurnLimit { limit: limit.into() });
        }
        // The dearest input is written to a cache.
        let count = |input, output| BilledTokens {
            tokens: Tokens { input, cached: 0, output },
            cache_write: input,
            long_cache_write: if demand.has_long_cache { input } else { 0 },
        };
        let cost = |input, output| self.prices.upper_bound(&demand.model, count(input, output));
        let (mut reserved, mut max_output) = (cost(demand.most_input, demand.max_output), demand.max_output);
        if let Some(limit) = self.rest.cost
            && reserved.max(1) > limit.saturating_sub(requests.committed())
        {
            let spent = requests.total().cost_upper_bound;
            let rest = limit.saturating_sub(spent);
            let least = cost(demand.likely_input, demand.least_output);
            if least > rest || rest == 0 {
                return self.refuse(RefusedFor::Cost(least), &next_cost_failure(spent, least, limit));
            }
            if requests.0.values().any(|request| request.is_running) {
                return Grant::Wait;
            }
            let affordable = self.prices.affordable_output(&demand.model, count(demand.likely_input, 0), rest);
            max_output = affordable.min(demand.max_output);
            reserved = rest;
        }
        let lowered_output = Some(max_output).filter(|output| *output < demand.max_output);
        let (model, usage) = (demand.model.clone(), self.price(&Usage::default(), &demand.model));
        requests.0.insert(request, MeteredRequest { model, reserved, lowered_output, usage, is_running: true });
        Grant::Start { max_output }
    }

    fn record(&self, request: u64, usage: &Usage) -> bool {
        let mut requests = self.lock();
        let Some(request) = requests.0.get_mut(&request) else { return false };
        request.usage = self.price(usage, &request.model);
        self.run_state.set_metered_usage(&requests.total());
        let may_continue = self.rest.cost.is_none_or(|limit| requests.committed() <= limit);
        if !may_continue {
            self.run_state.note_refused_request(RefusedFor::Cost(0));
        }
        may_continue
    }

    fn finish(&self, number: u64, usage: &Usage, end: RequestEnd) {
        let mut requests = self.lock();
        let Some(request) = requests.0.get_mut(&number) else { return };
        request.usage = self.price(usage, &request.model);
        request.is_running = false;
        match end {
            RequestEnd::Complete if request.lowered_output.is_some_and(|most| usage.output == most) => {
                // The limit ended this answer, as if it had been cut.
                self.run_state.note_refused_request(RefusedFor::Cost(0));
            }
            RequestEnd::Complete => {}
            RequestEnd::Cut => request.cut(),
            RequestEnd::NotBilled => {
                requests.0.remove(&number);
            }
        }
        self.run_state.set_metered_usage(&requests.total());
    }
}

#[cfg(test)]
mod tests;
