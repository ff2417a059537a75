//! Evaluates IAM policies: a request is allowed by one statement and denied by none. Unsupported elements are errors.
//!
//! Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>.

use crate::prelude::*;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) effect: Effect,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) conditions: Vec<Condition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// One condition key. Each value of the request must match one of `values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Operator,
    key: String,
    values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    /// `StringEquals`.
    Equals,
    /// `StringLike`, `ArnLike`, and `ArnEquals`, which is the same.
    Like,
    /// `ForAllValues:StringEquals` and `:StringLike`, and `StringEqualsIfExists`. True if the request lacks the key, so
    /// a `Null` condition must accompany it.
    All { like: bool },
    /// `Null`: whether the request lacks the key.
    Absent,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) action: &'a str,
    /// An ARN, or `*` for an action about no resource.
    pub(super) resource: &'a str,
    /// Condition keys with their values; a key with several values is repeated.
    pub(super) context: &'a [(&'a str, &'a str)],
}

impl Policy {
    pub(super) fn read(document: &Value) -> Result<Self, String> {
        let statements = to_list(&document["Statement"]).iter().map(Statement::read).collect::<Result<Vec<_>, _>>()?;
        if statements.is_empty() { Err("a policy without statements".into()) } else { Ok(Self { statements }) }
    }

    pub(super) fn allows(&self, request: &Request<'_>) -> bool {
        let has_match =
            |effect| self.statements.iter().any(|statement| statement.effect == effect && statement.matches(request));
        has_match(Effect::Allow) && !has_match(Effect::Deny)
    }
}

impl Statement {
    fn read(statement: &Value) -> Result<Self, String> {
        let fields = statement.as_object().ok_or("a statement is no map")?;
        let known = ["Sid", "Effect", "Action", "Resource", "Condition"];
        if let Some(other) = fields.keys().find(|field| !known.contains(&field.as_str())) {
            return Err(format!("{other} is not understood"));
        }
        let effect = match statement["Effect"].as_str() {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            other => return Err(format!("the effect {other:?} is not understood")),
        };
        let (actions, resources) = (parse_texts(&statement["Action"])?, parse_texts(&statement["Resource"])?);
        if actions.is_empty() || resources.is_empty() {
            return Err("a statement without action or resource".into());
        }
        let mut conditions = Vec::new();
        for (operator, keys) in statement["Condition"].as_object().into_iter().flatten() {
            let operator = match operator.as_str() {
                "StringEquals" => Operator::Equals,
                "StringLike" | "ArnLike" | "ArnEquals" => Operator::Like,
                "ForAllValues:StringEquals" | "StringEqualsIfExists" => Operator::All { like: false },
                "ForAllValues:StringLike" => Operator::All { like: true },
                "Null" => Operator::Absent,
                other => return Err(format!("the condition {other} is not understood")),
            };
            for (key, values) in keys.as_object().ok_or("a condition is no map")? {
                conditions.push(Condition { operator, key: key.clone(), values: parse_texts(values)? });
            }
        }
        Ok(Self { effect, actions, resources, conditions })
    }

    pub(super) fn matches(&self, request: &Request<'_>) -> bool {
        let action = request.action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| matches_pattern(&pattern.to_ascii_lowercase(), &action))
            && self.resources.iter().any(|pattern| matches_pattern(pattern, request.resource))
            && self.conditions.iter().all(|condition| condition.is_met(request))
    }
}

impl Condition {
    /// A missing key fails the condition, except for `All` and `Absent`.
    fn is_met(&self, request: &Request<'_>) -> bool {
        let mut found = request.context.iter().filter(|(key, _)| key.eq_ignore_ascii_case(&self.key));
        let equals = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let is_like = |value: &str| self.values.iter().any(|wanted| matches_pattern(wanted, value));
        match self.operator {
            Operator::Equals => found.any(|(_, value)| equals(value)),
            Operator::Like => found.any(|(_, value)| is_like(value)),
            Operator::All { like: false } => found.all(|(_, value)| equals(value)),
            Operator::All { like: true } => found.all(|(_, value)| is_like(value)),
            Operator::Absent => equals(if found.next().is_none() { "true" } else { "false" }),
        }
    }
}

fn to_list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(all) => all.clone(),
        single => vec![single.clone()],
    }
}

fn parse_texts(value: &Value) -> Result<Vec<String>, String> {
    let parse = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| format!("{item} is no text"));
    to_list(value).iter().map(parse).collect()
}

pub(super) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => (p, t) = (p + 1, t + 1),
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut star {
                // Extend the match of the last star by one character.
                Some((at, end)) => {
                    *end += 1;
                    (p, t) = (*at + 1, *end);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[test]
fn every_value_of_a_key_must_match_and_absence_is_distinct() {
    let document = serde_json::json!({ "Statement": [
        { "Effect": "Allow", "Action": "d:Put", "Resource": "*",
          "Condition": { "ForAllValues:StringLike": { "d:Keys": ["JOB#*", "SWEEPER"] }, "Null": { "d:Keys": "false" } } },
        { "Effect": "Deny", "Action": "*", "Resource": "arn:secret" },
    ] });
    let policy = Policy::read(&document).unwrap();
    type Row = (&'static str, &'static [(&'static str, &'static str)], bool);
    let rows: [Row; 7] = [
        ("arn:t", &[("d:Keys", "JOB#1")], true),
        ("arn:t", &[("d:keys", "SWEEPER")], true),
        ("arn:t", &[("d:Keys", "SWEEPERS")], false),
        ("arn:t", &[("d:Keys", "TOKEN#1")], false),
        ("arn:t", &[("d:Keys", "JOB#1"), ("d:Keys", "TOKEN#1")], false),
        ("arn:t", &[], false),
        ("arn:secret", &[("d:Keys", "JOB#1")], false),
    ];
    for (resource, context, allowed) in rows {
        let request = Request { action: "d:Put", resource, context };
        assert_eq!(policy.allows(&request), allowed, "{resource} {context:?}");
    }
}
