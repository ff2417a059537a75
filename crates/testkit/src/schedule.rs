//! Faults on a seeded schedule: what DynamoDB may do to any call, and the embedded one never does.
//!
//! A caller that is right succeeds all the same: no call meets more faults in a row than the SDK and the store
//! try again. What is tested is thus not whether an outage is told, but that nothing of it is ever seen.

use crate::dice::Dice;
use crate::{Fault, half};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// One call of so many meets a fault.
const ONE_OF: usize = 8;
/// How often in all one write meets other writers. The store tries six times.
const CONFLICTS: u32 = 3;

/// What the embedded DynamoDB never shows, by a seed.
///
/// Of calls that come one after the other, the seed alone decides which of them fail and how; of calls that come at
/// once, the order in which they come decides with it.
#[derive(Debug)]
pub struct Schedule {
    so_far: Mutex<SoFar>,
}

#[derive(Debug)]
struct SoFar {
    dice: Dice,
    /// By the content of a write.
    conflicts: HashMap<u64, u32>,
    met: Vec<String>,
}

/// One call, as far as it decides what may become of it.
#[derive(Debug)]
struct Call {
    operation: String,
    /// Of how many the SDK has left behind this one.
    is_last_try: bool,
    body: Value,
}

impl Schedule {
    /// Everything that happens follows from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { so_far: Mutex::new(SoFar { dice: Dice::new(seed), conflicts: HashMap::new(), met: Vec::new() }) }
    }

    /// The faults that were met, in words.
    pub fn met(&self) -> Vec<String> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner).met.clone()
    }

    /// What becomes of this call to DynamoDB.
    pub(crate) fn fault(&self, operation: &str, request: &HttpRequest) -> Option<Fault> {
        let body = request.body().bytes().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
        let tries = request.headers().get("amz-sdk-request").unwrap_or_default();
        self.decide(&Call { operation: operation.to_owned(), is_last_try: is_last(tries), body })
    }

    fn decide(&self, call: &Call) -> Option<Fault> {
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever the call is, so that what one call is allowed does not decide about the next.
        let (strikes, way) = (so_far.dice.below(ONE_OF) == 0, so_far.dice.number());
        if !strikes {
            return None;
        }
        let mut dice = Dice::new(way);
        let content = call.content();
        let conflicts = so_far.conflicts.get(&content).copied().unwrap_or_default();
        let mut possible = Vec::new();
        if conflicts < CONFLICTS {
            possible.extend_from_slice(call.conflicts());
        }
        if !call.is_last_try {
            possible.extend_from_slice(call.outages());
        }
        let kind = *dice.one(&possible)?;
        if call.conflicts().contains(&kind) {
            so_far.conflicts.insert(content, conflicts + 1);
        }
        let fault = call.fault(kind, &mut dice);
        so_far.met.push(format!("{}: {fault}", call.operation));
        Some(fault)
    }
}

/// What may become of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Another writer holds the item.
    Conflict,
    /// Other writers hold some of the items; of the others nothing is known.
    Cancelled,
    /// Some of the items may not be written so often.
    ItemsThrottled,
    Throttled,
    Internal,
    InternalAfterEffect,
    NeverSent,
    LostAnswer,
    /// What this transaction's first try began is not over.
    InProgress,
    /// Half of what was asked for.
    Half,
    /// A page that ends early, and says where it goes on.
    ShortPage,
}

impl Call {
    /// What the store has to try again, since the SDK does not.
    fn conflicts(&self) -> &'static [Kind] {
        match self.operation.as_str() {
            "PutItem" | "UpdateItem" | "DeleteItem" => &[Kind::Conflict],
            "TransactWriteItems" => &[Kind::Cancelled, Kind::Cancelled, Kind::ItemsThrottled],
            "BatchGetItem" if half::keys(&self.body) > 1 => &[Kind::Half],
            // Of an index a caller takes one page as it comes, or gives it to a person with where the next begins.
            "Query" if self.body["IndexName"].is_null() => &[Kind::ShortPage],
            _ => &[],
        }
    }

    /// What the SDK tries again.
    fn outages(&self) -> &'static [Kind] {
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

    fn fault(&self, kind: Kind, dice: &mut Dice) -> Fault {
        match kind {
            Kind::Conflict => Fault::error(400, "TransactionConflictException"),
            Kind::Cancelled => self.cancelled(&["None", "ConditionalCheckFailed"], "TransactionConflict", dice),
            Kind::ItemsThrottled => {
                let code = ["ThrottlingError", "ProvisionedThroughputExceeded"];
                let code = dice.one(&code).copied().unwrap_or("ThrottlingError");
                self.cancelled(&["None", "ConditionalCheckFailed"], code, dice)
            }
            Kind::Throttled => {
                let codes = ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];
                Fault::error(400, dice.one(&codes).copied().unwrap_or("ThrottlingException"))
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

    /// One item for this reason, each of the others for it, for one of these, or for none.
    fn cancelled(&self, others: &[&'static str], reason: &'static str, dice: &mut Dice) -> Fault {
        let count = self.body["TransactItems"].as_array().map_or(1, Vec::len).max(1);
        let certain = dice.below(count);
        let possible = [others, &[reason]].concat();
        let reasons: Vec<_> = (0..count)
            .map(|item| if item == certain { reason } else { dice.one(&possible).copied().unwrap_or(reason) })
            .collect();
        Fault::cancelled(&reasons)
    }

    /// The same for what is tried again: only the token of a write is new then, and a read asks for what was left out.
    fn content(&self) -> u64 {
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

/// Whether the SDK gives up if this try fails, as it says in each: `attempt=2; max=3`.
fn is_last(tries: &str) -> bool {
    let told = |name: &str| {
        let mut parts = tries.split(';').filter_map(|part| part.trim().split_once('='));
        parts.find(|(found, _)| *found == name).and_then(|(_, number)| number.parse::<u32>().ok())
    };
    match (told("attempt"), told("max")) {
        (Some(attempt), Some(max)) => attempt >= max,
        // Of the first try only what was configured is unknown: nobody tries once.
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

    fn transaction(token: &str) -> Call {
        let body = json!({ "ClientRequestToken": token, "TransactItems": [{}, {}, {}] });
        call("TransactWriteItems", "attempt=3; max=3", body)
    }

    #[test]
    fn the_same_seed_breaks_the_same_calls_in_the_same_way() {
        let met = |seed| {
            let schedule = Schedule::new(seed);
            for number in 0..200 {
                schedule.decide(&call("PutItem", "attempt=1; max=3", json!({ "Item": number })));
            }
            schedule.met()
        };
        assert_eq!(met(7), met(7));
        assert_ne!(met(7), met(8));
    }

    #[test]
    fn of_many_calls_some_meet_each_fault_that_dynamodb_has_for_them() {
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
            let met = schedule.met();
            let different: std::collections::BTreeSet<_> = met.iter().collect();
            assert!(different.len() >= kinds, "{operation}: {different:?}");
            assert_eq!(met.is_empty(), kinds == 0, "{operation}: {met:?}");
            let reads = ["GetItem", "BatchGetItem", "Query"].contains(&operation);
            assert!(!(reads && met.iter().any(|fault| fault.contains("answered with") || fault.contains("Conflict"))));
        }
    }

    #[test]
    fn the_last_try_of_the_sdk_is_never_an_outage() {
        assert!(!is_last("attempt=1; max=3") && !is_last("attempt=2; max=3") && !is_last("attempt=1"));
        assert!(is_last("attempt=3; max=3") && is_last("ttl=20261120T000000Z; attempt=3; max=3") && is_last(""));
        let schedule = Schedule::new(1);
        for number in 0..1_000 {
            assert_eq!(schedule.decide(&call("GetItem", "attempt=3; max=3", json!(number))), None);
        }
    }

    #[test]
    fn a_write_meets_others_at_most_three_times_whatever_its_token() {
        let schedule = Schedule::new(1);
        let met = (0..1_000).filter(|token| schedule.decide(&transaction(&token.to_string())).is_some()).count();
        assert_eq!(met, CONFLICTS as usize);
    }

    #[test]
    fn a_read_of_many_is_halved_at_most_three_times_and_one_key_is_never_left_out() {
        let read = |keys: usize| {
            let keys: Vec<_> = (0..keys).collect();
            call("BatchGetItem", "attempt=3; max=3", json!({ "RequestItems": { "t": { "Keys": keys } } }))
        };
        let schedule = Schedule::new(1);
        assert!((0..1_000).all(|_| schedule.decide(&read(1)).is_none()));
        let halved = (2..1_000).filter(|keys| schedule.decide(&read(*keys)) == Some(Fault::Half)).count();
        assert_eq!(halved, CONFLICTS as usize);
    }

    #[test]
    fn a_page_of_the_table_is_cut_short_at_most_three_times_and_one_of_an_index_never() {
        let short = |body: Value| {
            let schedule = Schedule::new(1);
            let query = || schedule.decide(&call("Query", "attempt=3; max=3", body.clone()));
            (0..1_000).filter(|_| query() == Some(Fault::ShortPage)).count()
        };
        assert_eq!(short(json!({ "TableName": "t" })), CONFLICTS as usize);
        assert_eq!(short(json!({ "TableName": "t", "IndexName": "work" })), 0);
    }

    #[test]
    fn a_cancelled_transaction_has_a_reason_per_item_and_one_that_says_nothing_of_the_others() {
        let schedule = Schedule::new(3);
        let mut seen = 0;
        for number in 0..1_000 {
            let mut call = transaction("t");
            call.body["n"] = json!(number);
            let Some(fault) = schedule.decide(&call) else { continue };
            let Fault::Refused(400, body) = fault else { panic!("{fault:?}") };
            let reasons: Vec<_> =
                body["CancellationReasons"].as_array().unwrap().iter().map(|one| &one["Code"]).collect();
            assert_eq!(reasons.len(), 3);
            assert!(reasons.iter().any(|code| *code != "None" && *code != "ConditionalCheckFailed"), "{reasons:?}");
            seen += 1;
        }
        assert!(seen > 50, "{seen}");
    }
}
