//! A client that leaves one part of one condition out of the table's writes, or writes down which parts there are; and
//! one that keeps the whole conditions.
//! What no test notices so is a condition that nobody needs, or one that nothing holds: `.ci/conditions` looks for it.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Of any item, there or not.
const ANY: &str = "attribute_exists(pk) OR attribute_not_exists(pk)";
const NONE: &str = "attribute_exists(pk) AND attribute_not_exists(pk)";

/// What is done with the parts of conditions.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// A file to which each of them is appended, once by a process.
    pub found: Option<String>,
    /// The part that is left out, as that file has it.
    pub left_out: Option<String>,
}

impl Conditions {
    /// Stands before this client; where nothing is to be done, it is the client alone.
    #[must_use]
    pub fn before(self, inner: impl HttpClient + 'static) -> SharedHttpClient {
        let inner = SharedHttpClient::new(inner);
        match self {
            Self { found: None, left_out: None } => inner,
            asked => SharedHttpClient::new(Client { inner, asked }),
        }
    }
}

/// Keeps what the table's writes demand. Clones keep together.
#[derive(Clone, Debug, Default)]
pub struct Demands(Arc<Mutex<BTreeSet<(String, String)>>>);

impl Demands {
    /// Stands before this client.
    #[must_use]
    pub fn before(&self, inner: impl HttpClient + 'static) -> SharedHttpClient {
        SharedHttpClient::new(Client { inner: SharedHttpClient::new(inner), asked: self.clone() })
    }

    /// What was demanded since the last time: of what, as a part of a condition is named, and the whole condition.
    #[must_use]
    pub fn take(&self) -> BTreeSet<(String, String)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Looks for Demands {
    fn look(&self, operation: &str, call: &mut Value) -> bool {
        let writes = writes(operation, call);
        let demanded = (0..writes.len()).filter_map(|at| {
            let (_, action, write) = &writes[at];
            let condition = plain(write, write["ConditionExpression"].as_str()?);
            Some((format!("{action} {}{}", kind(write), beside(&writes, at)), condition))
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(demanded);
        false
    }
}

/// Looks at each call to the table before it is sent.
trait Looks: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Whether it changed the call.
    fn look(&self, operation: &str, call: &mut Value) -> bool;
}

impl Looks for Conditions {
    fn look(&self, operation: &str, call: &mut Value) -> bool {
        let parts = parts(operation, call);
        if let Some(file) = &self.found {
            note(file, &parts);
        }
        let left_out = parts.into_iter().filter(|part| Some(&part.name) == self.left_out.as_ref());
        left_out.fold(false, |_, part| part.leave_out(call))
    }
}

#[derive(Clone, Debug)]
struct Client<L> {
    inner: SharedHttpClient,
    asked: L,
}

impl<L: Looks> HttpClient for Client<L> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Before { inner, asked: self.asked.clone() })
    }
}

#[derive(Debug)]
struct Before<L> {
    inner: SharedHttpConnector,
    asked: L,
}

impl<L: Looks> HttpConnector for Before<L> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.strip_prefix("DynamoDB_20120810.").unwrap_or_default().to_owned();
        if let Some(Ok(mut call)) = request.body().bytes().map(serde_json::from_slice::<Value>)
            && self.asked.look(&operation, &mut call)
        {
            // Nothing that is embedded checks the signature that this breaks.
            let body = call.to_string();
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body);
        }
        self.inner.call(request)
    }
}

/// One comparison in one condition, taken for true or for false.
struct Part {
    name: String,
    /// Where the write stands in the call.
    pointer: String,
    expression: String,
    leaf: Range<usize>,
    instead: &'static str,
}

impl Part {
    /// Taken for true, or for false; its names and values are still used, as they must be.
    fn leave_out(self, call: &mut Value) -> bool {
        let Self { pointer, mut expression, leaf, instead, .. } = self;
        let joined = if instead == ANY { "OR" } else { "AND" };
        let weaker = format!("({} {joined} {instead})", &expression[leaf.clone()]);
        expression.replace_range(leaf, &weaker);
        call.pointer_mut(&pointer).map(|write| write["ConditionExpression"] = expression.into()).is_some()
    }
}

/// Every part of the conditions of a call, by a name that is the same in every run: what the write does with which
/// kind of item, beside which other writes, and where in its condition. So what several transactions share is left out
/// of one of them at a time; several writes may still have parts of the same name.
fn parts(operation: &str, call: &Value) -> Vec<Part> {
    let writes = writes(operation, call);
    let mut parts = Vec::new();
    for (at, (pointer, action, write)) in writes.iter().enumerate() {
        let Some(expression) = write["ConditionExpression"].as_str() else { continue };
        let of = format!("{}{}", kind(write), beside(&writes, at));
        for (number, leaf) in leaves(expression).into_iter().enumerate() {
            for (sign, instead) in [("true", ANY), ("false", NONE)] {
                let part = &expression[leaf.clone()];
                let name = format!("{action} {of}: {expression} | {} {part}: {sign}", number + 1);
                let (pointer, expression, leaf) = (pointer.clone(), expression.to_owned(), leaf.clone());
                parts.push(Part { name, pointer, expression, leaf, instead });
            }
        }
    }
    parts
}

/// The writes of a call: where each stands in it, what it does, and itself.
fn writes<'a>(operation: &'a str, call: &'a Value) -> Vec<(String, &'a str, &'a Value)> {
    let Some(items) = call["TransactItems"].as_array() else {
        return vec![(String::new(), operation.trim_end_matches("Item"), call)];
    };
    let actions = items.iter().enumerate().filter_map(|(at, item)| {
        let (action, write) = item.as_object()?.iter().next()?;
        Some((format!("/TransactItems/{at}/{action}"), action.as_str(), write))
    });
    actions.collect()
}

/// A condition with the attributes that its placeholders stand for, and with yes and no: what else stands there is
/// another one in every call.
fn plain(write: &Value, condition: &str) -> String {
    let (mut told, mut rest) = (String::new(), condition);
    while let Some(at) = rest.find(['#', ':']) {
        let (before, from) = rest.split_at(at);
        let ends = |(_, letter): &(usize, char)| !(letter.is_ascii_alphanumeric() || *letter == '_');
        let end = from.char_indices().skip(1).find(ends).map_or(from.len(), |(end, _)| end);
        let (placeholder, after) = from.split_at(end);
        told.push_str(before);
        told.push_str(&stands_for(write, placeholder).unwrap_or_else(|| placeholder.to_owned()));
        rest = after;
    }
    told + rest
}

fn stands_for(write: &Value, placeholder: &str) -> Option<String> {
    if let Some(name) = write["ExpressionAttributeNames"][placeholder].as_str() {
        // Others are ids.
        let is_ours = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        return is_ours.then(|| name.to_owned());
    }
    write["ExpressionAttributeValues"][placeholder]["BOOL"].as_bool().map(|yes| yes.to_string())
}

/// What one of several writes stands beside, each kind of it once: ` of {Put ATTEMPT, Update RUNNERS}`.
fn beside(writes: &[(String, &str, &Value)], at: usize) -> String {
    let others = writes.iter().enumerate().filter(|(other, _)| *other != at);
    let others = others.map(|(_, (_, action, write))| {
        let kind = kind(write);
        let (first, last) = kind.split_once('/').unwrap_or_default();
        format!("{action} {}", if last == "…" { first } else { last })
    });
    let others = others.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ");
    if others.is_empty() { others } else { format!(" of {{{others}}}") }
}

/// The kind of item that a write is of: `JOB/JOB`.
fn kind(write: &Value) -> String {
    let word = |name: &str| {
        let key = if write["Key"].is_object() { &write["Key"] } else { &write["Item"] };
        key[name]["S"].as_str().unwrap_or_default().to_owned()
    };
    let (pk, sk) = (word("pk"), word("sk"));
    let first = |word: &str| word.split('#').next().unwrap_or_default().to_owned();
    let sk = if sk.contains('#') || sk.chars().all(|letter| letter.is_ascii_uppercase()) {
        first(&sk)
    } else {
        "…".into()
    };
    format!("{}/{sk}", first(&pk))
}

/// Where the comparisons of a condition stand, which `AND`, `OR`, `NOT` and parentheses join.
fn leaves(expression: &str) -> Vec<Range<usize>> {
    let (mut leaves, mut at) = (Vec::new(), 0);
    while let Some(rest) = expression.get(at..).filter(|rest| !rest.is_empty()) {
        let joins = ["AND ", "OR ", "NOT ", "(", ")", " "];
        if let Some(join) = joins.into_iter().find(|join| rest.starts_with(join)) {
            at += join.len();
            continue;
        }
        let mut depth = 0;
        let end = rest.char_indices().find(|(end, letter)| {
            depth += i32::from(*letter == '(') - i32::from(*letter == ')');
            depth < 0 || depth == 0 && [" AND ", " OR "].iter().any(|join| rest[*end..].starts_with(join))
        });
        let end = at + end.map_or(rest.len(), |(end, _)| end);
        leaves.push(at..end);
        at = end;
    }
    leaves
}

fn note(file: &str, parts: &[Part]) {
    static KNOWN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let new = parts.iter().filter(|part| known.insert(part.name.clone()));
    let new = new.map(|part| format!("{}\n", part.name)).collect::<String>();
    if !new.is_empty() {
        let opened = OpenOptions::new().create(true).append(true).open(file);
        let written = opened.and_then(|mut file| file.write_all(new.as_bytes()));
        assert!(written.is_ok(), "{file}: {written:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(expression: &str, expected: &[&str]) {
        let found = leaves(expression).into_iter().map(|leaf| &expression[leaf]).collect::<Vec<_>>();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_condition_is_taken_apart_into_its_comparisons() {
        check("attribute_not_exists(pk)", &["attribute_not_exists(pk)"]);
        check("(rev = :seen) AND NOT mark = :mark", &["rev = :seen", "mark = :mark"]);
        check(
            "attribute_not_exists(pk) OR (#status = :deleting AND size(slots) = :none)",
            &["attribute_not_exists(pk)", "#status = :deleting", "size(slots) = :none"],
        );
        check("a IN (:a, :b) OR NOT (c < :c)", &["a IN (:a, :b)", "c < :c"]);
    }

    #[test]
    fn a_part_of_one_write_of_several_is_taken_for_true_or_for_false() {
        let put = json!({ "Put": { "Item": { "pk": { "S": "JOB#1" }, "sk": { "S": "JOB" } } } });
        let update = json!({ "Update": {
            "Key": { "pk": { "S": "RUNNERS#3" }, "sk": { "S": "run_abc" } },
            "ConditionExpression": "epoch = :epoch AND slots = :slots",
        } });
        let call = json!({ "TransactItems": [put, update] });
        let parts = parts("TransactWriteItems", &call);
        let of = |name: &str| format!("Update RUNNERS/… of {{Put JOB}}: epoch = :epoch AND slots = :slots | {name}");
        let names = parts.iter().map(|part| part.name.clone()).collect::<Vec<_>>();
        let expected =
            ["1 epoch = :epoch: true", "1 epoch = :epoch: false", "2 slots = :slots: true", "2 slots = :slots: false"];
        assert_eq!(names, expected.map(of));
        let left_out = parts.into_iter().map(|part| {
            let mut call = call.clone();
            assert!(part.leave_out(&mut call));
            call["TransactItems"][1]["Update"]["ConditionExpression"].as_str().unwrap().to_owned()
        });
        let left_out = left_out.collect::<Vec<_>>();
        assert_eq!(left_out[0], format!("(epoch = :epoch OR {ANY}) AND slots = :slots"));
        assert_eq!(left_out[3], format!("epoch = :epoch AND (slots = :slots AND {NONE})"));
    }

    #[test]
    fn what_a_write_demands_is_kept_whole_with_the_names_of_attributes() {
        let mut call = json!({
            "Key": { "pk": { "S": "RUNNERS#3" }, "sk": { "S": "run_abc" } },
            "ConditionExpression": "#status = :online AND attribute_not_exists(slots.#job) AND draining = :false",
            "ExpressionAttributeNames": { "#status": "status", "#job": "job_01" },
            "ExpressionAttributeValues": { ":online": { "S": "online" }, ":false": { "BOOL": false } },
        });
        let demands = Demands::default();
        assert!(!demands.look("UpdateItem", &mut call));
        demands.look("GetItem", &mut json!({ "Key": call["Key"].clone() }));
        let condition = "status = :online AND attribute_not_exists(slots.#job) AND draining = false";
        assert_eq!(demands.take(), [("Update RUNNERS/…".to_owned(), condition.to_owned())].into());
        assert_eq!(demands.take(), BTreeSet::new());
    }

    #[test]
    fn a_part_says_what_it_is_written_beside_however_much_and_in_whatever_order() {
        let put = |pk: &str, sk: &str, condition: &str| {
            let item = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
            json!({ "Put": { "Item": item, "ConditionExpression": condition } })
        };
        let key = json!({ "pk": { "S": "RUNNERS#3" }, "sk": { "S": "run_abc" } });
        let runner = json!({ "Update": { "Key": key } });
        let attempt = |number| put("JOB#1", &format!("ATTEMPT#{number}"), "");
        let job = put("JOB#1", "JOB", "rev = :seen");
        let names = |items: Vec<&Value>| {
            let call = json!({ "TransactItems": items });
            parts("TransactWriteItems", &call).into_iter().map(|part| part.name).collect::<Vec<_>>()
        };
        let several = names(vec![&job, &attempt(1), &runner]);
        assert_eq!(several[0], "Put JOB/JOB of {Put ATTEMPT, Update RUNNERS}: rev = :seen | 1 rev = :seen: true");
        assert_eq!(several, names(vec![&runner, &attempt(1), &job, &attempt(2)]));
        assert_eq!(names(vec![&job])[0], "Put JOB/JOB: rev = :seen | 1 rev = :seen: true");
    }
}
