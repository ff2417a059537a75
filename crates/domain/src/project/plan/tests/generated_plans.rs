//! Compares the parser with the JSON Schema, whose keywords are read here a second time, on generated plans.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

/// Keys that the plan may have in any combination.
fn optional_keys() -> Vec<(&'static str, Value)> {
    let limits = json!({ "wall": "1h", "stall": "5m", "turns": 1, "cost_usd": 0.5 });
    let depth = json!({ "type": "integer", "min": -2, "max": 5, "default": "2", "about": "How deep." });
    vec![
        ("/name", json!({ "param": "task" })),
        ("/repository", json!("acme/app")),
        ("/base", json!({ "param": "onto" })),
        ("/started_by", json!(["hand", "webhook", "schedule", "submission"])),
        ("/parameters/depth", depth),
        ("/parameters/kind", json!({ "type": "choice", "of": ["low", "high"], "required": true })),
        ("/defaults/allow_failure", json!(true)),
        ("/defaults/changes", json!("optional")),
        ("/defaults/limits/turns", json!(10_000)),
        ("/defaults/limits/wall", json!("30m")),
        ("/defaults/model", json!("m")),
        ("/defaults/outcomes", json!(["done", "open"])),
        ("/defaults/retries", json!(5)),
        ("/defaults/sandbox", json!("workspace_write")),
        ("/defaults/setup", json!(["npm ci"])),
        ("/roles", json!({ "tester": { "prompt": "Test.", "sandbox": "read_only", "outcomes": ["good", "bad"] } })),
        ("/concurrency_limit", json!(50)),
        ("/concurrency", json!({ "group": "deploy", "limit": 2 })),
        ("/priority", json!("normal")),
        ("/on_failure", json!("continue")),
        ("/pull_request", json!("draft")),
        ("/on_complete", json!("notify")),
        ("/steps/1/agent", json!("codex")),
        ("/steps/1/changes", json!("required")),
        ("/steps/1/limits", limits),
        ("/steps/1/outcomes", json!(["done", "not_done"])),
        ("/steps/1/spawn", json!({ "most": 50, "turns": 2, "roles": ["implementer"] })),
        ("/steps/3/branch", json!("own")),
        ("/steps/3/when/review", json!(["approved", "changes_requested"])),
        ("/steps/-", json!({ "name": "ask", "needs": ["fix"], "approve": "Deploy?", "allow_failure": false })),
    ]
}

fn plan_with(keys: Vec<(&'static str, Value)>) -> Value {
    let mut plan = contributor();
    set(&mut plan, "/on", json!({ "github": ["push", "workflow_run.completed.failure"] }));
    set(&mut plan, "/parameters/onto", json!({ "type": "branch", "default": "main" }));
    keys.into_iter().for_each(|(pointer, value)| set(&mut plan, pointer, value));
    plan
}

fn chosen_keys() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    let all = optional_keys();
    let most = all.len();
    subsequence(all, 0..=most)
}

/// Values for any place; `null` removes the key.
fn odd_values() -> Vec<Value> {
    let mut values = vec![json!(null), json!(true), json!(0), json!(-1), json!(1.5), json!(51), json!(10_001)];
    values.extend(["", " ", "x", "X y", "low", "own", "text", "2h", "implementer"].map(Value::from));
    values.extend([80, 81, 200, 201, 301].map(|length| Value::from("x".repeat(length))));
    values.extend([0, 1, 2, 9, 21, 51].map(|length| json!(vec!["x"; length])));
    values.extend([json!(["x", "y"]), json!(["hand", "hand"]), json!([1]), json!([null])]);
    values.extend([json!({}), json!({ "x": 1 }), json!({ "param": "task" }), json!({ "type": "text", "max": 9 })]);
    values
}

/// The places of all values below the root.
fn collect_pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(all) => all.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
        Value::Array(all) => all.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)).collect(),
        _ => Vec::new(),
    };
    for (at, value) in inner {
        collect_pointers(value, &at, found);
        found.push(at);
    }
}

/// The broken keywords, by the specification of draft 7. A keyword without an arm fails the test.
fn find_broken_keywords(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let rules = schema.as_object().unwrap_or_else(|| panic!("{at}: {schema} is no object"));
    let fits = |rule: &&Value| find_broken_keywords(rule, value, at).is_empty();
    let mut broken = Vec::new();
    for (keyword, rule) in rules {
        let (limit, mut all) = (rule.as_f64().unwrap_or(f64::NAN), rule.as_array().into_iter().flatten());
        let holds = match (keyword.as_str(), value) {
            ("$schema" | "title" | "description" | "properties" | "additionalProperties" | "items", _) => true,
            ("type", _) => has_type(value, rule),
            ("const", _) => value == rule,
            ("enum", _) => all.any(|one| one == value),
            ("anyOf", _) => all.any(|one| fits(&one)),
            ("oneOf", _) => all.filter(fits).count() == 1,
            ("minimum", Value::Number(number)) => number.as_f64().unwrap() >= limit,
            ("maximum", Value::Number(number)) => number.as_f64().unwrap() <= limit,
            ("minLength", Value::String(text)) => text.chars().count() as f64 >= limit,
            ("maxLength", Value::String(text)) => text.chars().count() as f64 <= limit,
            ("pattern", Value::String(text)) => {
                assert_eq!(rule, NAME_PATTERN, "write the other pattern here, too");
                let is_later = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
                matches!(text.as_bytes(), [b'a'..=b'z', rest @ ..] if rest.len() < 40 && rest.iter().all(is_later))
            }
            ("minItems", Value::Array(items)) => items.len() as f64 >= limit,
            ("maxItems", Value::Array(items)) => items.len() as f64 <= limit,
            ("maxProperties", Value::Object(keys)) => keys.len() as f64 <= limit,
            ("required", Value::Object(keys)) => all.filter_map(Value::as_str).all(|key| keys.contains_key(key)),
            // A value of another type.
            ("minimum" | "maximum" | "minLength" | "maxLength" | "pattern", _)
            | ("minItems" | "maxItems" | "maxProperties" | "required", _) => true,
            (other, _) => panic!("{at}: the keyword {other} has no arm"),
        };
        broken.extend((!holds).then(|| format!("{at}: {keyword}")));
    }
    if let (Some(rule), Value::Array(items)) = (schema.get("items"), value) {
        for (index, item) in items.iter().enumerate() {
            broken.extend(find_broken_keywords(rule, item, &format!("{at}/{index}")));
        }
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        let at = format!("{at}/{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(rule), _) | (None, rule @ Value::Object(_)) => broken.extend(find_broken_keywords(rule, member, &at)),
            (None, Value::Bool(false)) => broken.push(format!("{at}: additionalProperties")),
            (None, _) => {}
        }
    }
    broken
}

/// Draft 7 also accepts 1.0 as an integer, which the parser refuses.
fn has_type(value: &Value, kind: &Value) -> bool {
    match kind.as_str() {
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => panic!("there is no type {kind}"),
    }
}

#[test]
fn generated_plans_have_each_key_of_the_schema() {
    let (mut rules, mut places) = (Vec::new(), Vec::new());
    collect_pointers(schema(), "", &mut rules);
    collect_pointers(&plan_with(optional_keys()), "", &mut places);
    let names = rules.iter().filter_map(|rule| rule.rsplit_once("/properties/"));
    for (_, name) in names.filter(|(_, name)| !name.contains('/')) {
        assert!(places.iter().any(|place| place.ends_with(&format!("/{name}"))), "{name}: add it to `optional_keys`");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn schema_accepts_what_the_parser_accepts(
        keys in chosen_keys(), mutations in vec(any::<(Index, Index)>(), 0..3),
    ) {
        let mut plan = plan_with(keys);
        let values = odd_values();
        for (place, value) in &mutations {
            let mut found = Vec::new();
            collect_pointers(&plan, "", &mut found);
            let at = place.get(&found);
            set(&mut plan, at, value.get(&values).clone());
        }
        let (parsed, broken) = (Plan::parse(plan.clone()), find_broken_keywords(schema(), &plan, ""));
        prop_assert!(parsed.is_ok() || !mutations.is_empty(), "{plan:#}: {parsed:?}");
        prop_assert!(parsed.is_err() || broken.is_empty(), "{plan:#}: {broken:?}");
        // Without this check, a `find_broken_keywords` that finds nothing would pass.
        prop_assert!(shape::check_form(&plan).is_empty() || !broken.is_empty(), "{plan:#}: {parsed:?}");
    }
}
