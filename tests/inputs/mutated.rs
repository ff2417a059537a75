//! Tests ticket events with random mutations.

use super::{check_problem, good, quiet};
use crate::story::TRIGGER;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use pullyard_protocol::decision::Decision;
use serde_json::Value;

#[derive(Clone, Debug)]
enum Mutation {
    Replaced(usize, Value),
    Removed(usize),
    Added(usize, String, Value),
    Cut(usize),
    Flipped(usize, u8),
}

/// Pointers to every value of a valid event.
const PLACES: [&str; 14] = [
    "/event_id",
    "/occurred_at",
    "/project",
    "/actor",
    "/previous_status",
    "/ticket",
    "/ticket/key",
    "/ticket/title",
    "/ticket/description",
    "/ticket/status",
    "/ticket/labels",
    "/ticket/labels/0",
    "/ticket/url",
    "/ticket/repository",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        "[A-Za-z0-9#/|%:.-]{1,40}".prop_map(Value::from),
        (0usize..70_000).prop_map(|length| Value::from("x".repeat(length))),
        Just(Value::from(TRIGGER)),
        (0i64..253_402_300_799_999)
            .prop_map(|at| Value::from(pullyard_domain::time::Timestamp::from_millis(at).to_string())),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = 0..PLACES.len();
    prop_oneof![
        6 => (place.clone(), any_json()).prop_map(|(place, value)| Mutation::Replaced(place, value)),
        2 => place.clone().prop_map(Mutation::Removed),
        1 => (place, ".{0,20}", any_json()).prop_map(|(place, name, value)| Mutation::Added(place, name, value)),
        1 => (0usize..400).prop_map(Mutation::Cut),
        1 => (0usize..400, any::<u8>()).prop_map(|(at, byte)| Mutation::Flipped(at, byte)),
    ]
}

fn mutated(mutations: &[Mutation]) -> Vec<u8> {
    let mut event = good();
    for mutation in mutations {
        match mutation {
            Mutation::Replaced(place, value) => {
                if let Some(there) = event.pointer_mut(PLACES[*place]) {
                    *there = value.clone();
                }
            }
            Mutation::Removed(place) => {
                let (parent, name) = PLACES[*place].rsplit_once('/').unwrap();
                if let Some(Value::Object(parent)) = event.pointer_mut(parent) {
                    parent.remove(name);
                }
            }
            Mutation::Added(place, name, value) => {
                let (parent, _) = PLACES[*place].rsplit_once('/').unwrap();
                if let Some(Value::Object(parent)) = event.pointer_mut(parent) {
                    parent.insert(name.clone(), value.clone());
                }
            }
            Mutation::Cut(_) | Mutation::Flipped(..) => {}
        }
    }
    let mut body = event.to_string().into_bytes();
    for mutation in mutations {
        match mutation {
            Mutation::Cut(at) => body.truncate(*at),
            Mutation::Flipped(at, byte) => {
                if let Some(there) = body.get_mut(*at) {
                    *there = *byte;
                }
            }
            _ => {}
        }
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn mutated_ticket_event_returns_a_decision_or_a_problem() {
    let story = quiet().await;
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let config = Config { cases: 300, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        TestRunner::new(config)
            .run(&prop::collection::vec(mutation(), 1..4), |mutations| {
                let body = mutated(&mutations);
                let answer = runtime.block_on(story.tool(body.clone()));
                let told = match answer.0 {
                    200 => serde_json::from_value::<Decision>(answer.2).map(|_| ()).map_err(|error| error.to_string()),
                    _ => check_problem(&String::from_utf8_lossy(&body), &answer),
                };
                told.map_err(TestCaseError::fail)
            })
            .unwrap();
    });
    story.end().await;
}
