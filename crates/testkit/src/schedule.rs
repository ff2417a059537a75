//! Injects DynamoDB faults on a seeded schedule, because the embedded DynamoDB has none.
//! A correct caller succeeds anyway: no call meets more faults in a row than the SDK and the store retry. The tests
//! verify that these faults stay invisible, not that an outage is reported.

use crate::rng::SeededRng;
use crate::{Fault, split_batch};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// A call meets a fault with a probability of one in this many.
const FAULT_ONE_IN: usize = 8;
/// Maximum conflicts of one write. The store tries six times.
const MAX_CONFLICTS: u32 = 3;

/// A seeded schedule of DynamoDB faults.
///
/// The seed alone decides the faults of sequential calls. For concurrent calls, the order of arrival matters too.
#[derive(Debug)]
pub struct Schedule {
    state: Mutex<ScheduleState>,
}

#[derive(Debug)]
struct ScheduleState {
    rng: SeededRng,
    /// By hash of the write's content.
    conflicts: HashMap<u64, u32>,
    injected_faults: Vec<String>,
}

#[derive(Debug)]
struct Call {
    operation: String,
    is_last_try: bool,
    body: Value,
}

impl Schedule {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: Mutex::new(ScheduleState {
                rng: SeededRng::new(seed),
                conflicts: HashMap::new(),
                injected_faults: Vec::new(),
            }),
        }
    }

    pub fn injected_faults(&self) -> Vec<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).injected_faults.clone()
    }

    pub(crate) fn fault(&self, operation: &str, request: &HttpRequest) -> Option<Fault> {
        let body = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let tries = request.headers().get("amz-sdk-request").unwrap_or_default();
        self.decide(&Call { operation: operation.to_owned(), is_last_try: is_last(tries), body })
    }

    fn decide(&self, call: &Call) -> Option<Fault> {
        let mut progress = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Drawn for every call, so that a call's possible faults do not shift the faults of later calls.
        let (is_fault, kind_seed) = (progress.rng.below(FAULT_ONE_IN) == 0, progress.rng.next_u64());
        if !is_fault {
            return None;
        }
        let mut dice = SeededRng::new(kind_seed);
        let content = call.content_hash();
        let conflicts = progress.conflicts.get(&content).copied().unwrap_or_default();
        let mut possible = Vec::new();
        if conflicts < MAX_CONFLICTS {
            possible.extend_from_slice(call.store_faults());
        }
        if !call.is_last_try {
            possible.extend_from_slice(call.sdk_faults());
        }
        let kind = *dice.choose(&possible)?;
        if call.store_faults().contains(&kind) {
            progress.conflicts.insert(content, conflicts + 1);
        }
        let fault = call.fault(kind, &mut dice);
        progress.injected_faults.push(format!("{}: {fault}", call.operation));
        Some(fault)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Another writer holds the item.
    Conflict,
    /// Other writers hold some of the items; the remaining reasons are random.
    Cancelled,
    /// Some of the items exceed their write rate.
    ItemsThrottled,
    Throttled,
    Internal,
    InternalAfterEffect,
    NeverSent,
    LostAnswer,
    /// The first try of this transaction is still in progress.
    InProgress,
    /// The answer covers half of the keys.
    Half,
    ShortPage,
}

impl Call {
    /// Faults that the store must retry, because the SDK does not.
    fn store_faults(&self) -> &'static [Kind] {
        match self.operation.as_str() {
            "PutItem" | "UpdateItem" | "DeleteItem" => &[Kind::Conflict],
            "TransactWriteItems" => &[Kind::Cancelled, Kind::Cancelled, Kind::ItemsThrottled],
            "BatchGetItem" if split_batch::count_keys(&self.body) > 1 => &[Kind::Half],
            // Callers read one page of an index, or return it with the key of the next page.
            "Query" if self.body["IndexName"].is_null() => &[Kind::ShortPage],
            _ => &[],
        }
    }

    fn sdk_faults(&self) -> &'static [Kind] {
        match self.operation.as_str() {
            "TransactWriteItems" => &[
                Kind::Throttled,
                Kind::Internal,
                Kind::InternalAfterEffect,
                Kind::InternalAfterEffect,
                Kind::NeverSent,
                Kind::LostAnswer,
                Kind::LostAnswer,
                Kind::InProgress,
            ],
            "PutItem" | "UpdateItem" | "DeleteItem" => &[
                Kind::Throttled,
                Kind::Internal,
                Kind::InternalAfterEffect,
                Kind::InternalAfterEffect,
                Kind::NeverSent,
                Kind::LostAnswer,
                Kind::LostAnswer,
            ],
            "GetItem" | "BatchGetItem" | "Query" => {
                &[Kind::Throttled, Kind::Internal, Kind::NeverSent, Kind::LostAnswer]
            }
            _ => &[],
        }
    }

    fn fault(&self, kind: Kind, dice: &mut SeededRng) -> Fault {
        match kind {
            Kind::Conflict => Fault::error(400, "TransactionConflictException"),
            Kind::Cancelled => self.cancellation(&["None", "ConditionalCheckFailed"], "TransactionConflict", dice),
            Kind::ItemsThrottled => {
                let code = ["ThrottlingError", "ProvisionedThroughputExceeded"];
                let code = dice.choose(&code).copied().unwrap_or("ThrottlingError");
                self.cancellation(&["None", "ConditionalCheckFailed"], code, dice)
            }
            Kind::Throttled => {
                let codes = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
                Fault::error(400, dice.choose(&codes).copied().unwrap_or("ThrottlingException"))
            }
            Kind::Internal => Fault::error(500, "InternalServerError"),
            Kind::InternalAfterEffect => Fault::internal_error_after_effect(),
            Kind::NeverSent => Fault::NeverSent,
            Kind::LostAnswer => Fault::LostAnswer,
            Kind::InProgress => Fault::error(400, "TransactionInProgressException"),
            Kind::Half => Fault::Half,
            Kind::ShortPage => Fault::ShortPage,
        }
    }

    fn cancellation(&self, others: &[&'static str], reason: &'static str, dice: &mut SeededRng) -> Fault {
        let count = self.body["TransactItems"].as_array().map_or(1, Vec::len).max(1);
        let certain = dice.below(count);
        let possible = [others, &[reason]].concat();
        let reasons: Vec<_> = (0..count)
            .map(|item| if item == certain { reason } else { dice.choose(&possible).copied().unwrap_or(reason) })
            .collect();
        Fault::cancelled(&reasons)
    }

    /// A hash that is equal for retries: a write gets a new token, and a read requests the unprocessed keys.
    fn content_hash(&self) -> u64 {
        let mut body = self.body.clone();
        if let Some(body) = body.as_object_mut() {
            body.remove("ClientRequestToken");
            body.remove("RequestItems");
        }
        let mut hasher = DefaultHasher::new();
        (&self.operation, body.to_string()).hash(&mut hasher);
        hasher.finish()
    }
}

/// Whether the SDK gives up after this try, by its header: `attempt=2; max=3`.
fn is_last(tries: &str) -> bool {
    let field = |name: &str| {
        let mut parts = tries.split(';').filter_map(|part| part.trim().split_once('='));
        parts.find(|(found, _)| *found == name).and_then(|(_, number)| number.parse::<u32>().ok())
    };
    match (field("attempt"), field("max")) {
        (Some(attempt), Some(max)) => attempt >= max,
        // The first try has no `max`, and every configuration retries.
        (Some(1), None) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(operation: &str, tries: &str, body: Value) -> Call {
        Call { operation: operation.into(), is_last_try: is_last(tries), body }
    }

    #[test]
    fn every_possible_fault_of_an_operation_occurs() {
        for (operation, kinds) in [
            ("PutItem", 8),
            ("UpdateItem", 8),
            ("TransactWriteItems", 9),
            ("BatchGetItem", 7),
            ("GetItem", 6),
            ("Query", 7),
            ("CreateTable", 0),
        ] {
            let schedule = Schedule::new(1);
            for number in 0..4_000 {
                let body = json!({ "TransactItems": [{}], "RequestItems": { "t": { "Keys": [1, 2] } } });
                let mut call = call(operation, "attempt=1; max=3", body);
                call.body["n"] = json!(number);
                schedule.decide(&call);
            }
            let met = schedule.injected_faults();
            let different: std::collections::BTreeSet<_> = met.iter().collect();
            assert!(different.len() >= kinds, "{operation}: {different:?}");
            assert_eq!(met.is_empty(), kinds == 0, "{operation}: {met:?}");
            let reads = ["GetItem", "BatchGetItem", "Query"].contains(&operation);
            assert!(!(reads && met.iter().any(|fault| fault.contains("answered with") || fault.contains("Conflict"))));
        }
    }

    #[test]
    fn last_try_of_the_sdk_meets_no_outage() {
        assert!(!is_last("attempt=1; max=3") && !is_last("attempt=2; max=3") && !is_last("attempt=1"));
        assert!(is_last("attempt=3; max=3") && is_last("ttl=20261120T000000Z; attempt=3; max=3") && is_last(""));
        let schedule = Schedule::new(1);
        for number in 0..1_000 {
            assert_eq!(schedule.decide(&call("GetItem", "attempt=3; max=3", json!(number))), None);
        }
    }
}
