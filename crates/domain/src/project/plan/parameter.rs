//! Parameters of a plan: their types, their values, and the keys of the plan that take one as a value.

use super::name::{NAME_RULE, is_name};
use super::shape::{escape, join_or};
use super::{MAX_PARAMETER_BYTES, Plan, PlanFault};
use crate::text::code::coded_enum;
use crate::text::id::{RepositoryName, TicketKey, is_hex};
use crate::text::is_line;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

const MAX_BRANCH_BYTES: usize = 200;
const MAX_NUMBER: i64 = 1_000_000_000_000;

/// The rule of [`is_branch`].
pub const BRANCH_RULE: &str = "use the name of a branch, such as main and not origin/main: no commit, range, HEAD, \
     refs/…, space, sign of a shell, .part, part.lock or final dot; at most 200 bytes";

/// A value that a start of the plan sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("required" = ["type"]))]
pub struct Parameter {
    /// Type of the value.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// Whether a start without the value is refused.
    pub required: bool,
    /// Value if a start sets none, as text.
    pub default: Option<String>,
    /// Least value of an integer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -MAX_NUMBER, max = MAX_NUMBER))]
    pub min: Option<i64>,
    /// Greatest value of an integer, or the greatest number of characters of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -MAX_NUMBER, max = MAX_NUMBER))]
    pub max: Option<i64>,
    /// Values of a choice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub of: Vec<String>,
    /// A sentence about the value, for the form that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub about: Option<String>,
}

coded_enum! {
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
    pub enum ParameterKind {
        /// Text of at most 4 KiB.
        #[default]
        Text = "text";
        /// A whole number.
        Integer = "integer";
        /// true or false.
        Boolean = "boolean";
        /// One of the values in `of`.
        Choice = "choice";
        /// A repository of the project, as owner/name.
        Repository = "repository";
        /// Name of a branch.
        Branch = "branch";
        /// A commit: 40 hex digits.
        Sha = "sha";
        /// An address that begins with https://.
        Url = "url";
        /// Key of a ticket.
        Ticket = "ticket";
    }
}

/// The keys that may be parameters, with their type; no type: all.
const KEYS: [(&str, Option<ParameterKind>); 3] =
    [("name", None), ("repository", Some(ParameterKind::Repository)), ("base", Some(ParameterKind::Branch))];

/// Text, or a parameter whose value is the text.
pub(super) fn text_or_parameter<const MAX_CHARS: u64>(_: &mut SchemaGenerator) -> Schema {
    let node = json_schema!({ "type": "object", "required": ["param"], "properties": {
        "param": { "type": "string", "description": "Name of a parameter, whose value is used." },
    } });
    json_schema!({ "anyOf": [{ "type": "string", "minLength": 1, "maxLength": MAX_CHARS }, node] })
}

/// Takes the keys whose value is a parameter out of a plan of valid form. Until it has a value, the name of a parameter
/// is the name of its plan.
pub(super) fn take_keys(json: &mut Value) -> BTreeMap<&'static str, String> {
    let mut keys = BTreeMap::new();
    for (key, _) in KEYS {
        let Some(name) = json[key]["param"].as_str().map(str::to_owned) else { continue };
        // The other keys are optional.
        json[key] = if key == "name" { Value::String(name.clone()) } else { Value::Null };
        keys.insert(key, name);
    }
    keys
}

impl Parameter {
    /// Errors: a rule of the type.
    pub fn check(&self, value: &str) -> Result<(), String> {
        let require = |is_valid: bool, rule: &str| if is_valid { Ok(()) } else { Err(rule.to_owned()) };
        require(value.len() <= MAX_PARAMETER_BYTES, "use at most 4 KiB")?;
        // No variable of a command can contain it.
        require(!value.contains('\0'), "use text without NUL")?;
        match self.kind {
            ParameterKind::Text => {
                let max = self.max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
                require(value.chars().count() <= max, &format!("use at most {max} characters"))
            }
            ParameterKind::Integer => {
                let (min, max) = (self.min.unwrap_or(-MAX_NUMBER), self.max.unwrap_or(MAX_NUMBER));
                let is_valid = value.parse().is_ok_and(|number: i64| (min..=max).contains(&number));
                require(is_valid, &format!("use a whole number from {min} to {max}"))
            }
            ParameterKind::Boolean => require(matches!(value, "true" | "false"), "use true or false"),
            ParameterKind::Choice => {
                let all: Vec<&str> = self.of.iter().map(String::as_str).collect();
                require(all.contains(&value), &format!("use {}", join_or(&all)))
            }
            ParameterKind::Repository => RepositoryName::new(value).map(drop).map_err(|rule| rule.to_string()),
            ParameterKind::Branch => require(is_branch(value), BRANCH_RULE),
            ParameterKind::Sha => require(is_hex(value, 40), "use the 40 hex digits of a commit"),
            ParameterKind::Url => {
                let host = value.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
                let is_valid = !host.is_empty() && is_line(value, 2_000) && !value.contains(char::is_whitespace);
                require(is_valid, "use an address that begins with https://")
            }
            ParameterKind::Ticket => {
                let is_valid = TicketKey::new(value).is_ok() && !value.contains(char::is_whitespace);
                require(is_valid, "use the key of a ticket, such as APP-17, without spaces")
            }
        }
    }

    /// Breaches of the declaration, each with its key.
    fn find_faults(&self) -> Vec<(&'static str, String)> {
        let is = |kind| self.kind == kind;
        let has_min = self.min.is_none() || is(ParameterKind::Integer);
        let has_max = self.max.is_none() || is(ParameterKind::Integer) || is(ParameterKind::Text);
        let is_range = self.min.zip(self.max).is_none_or(|(min, max)| min <= max);
        let rules = [
            (!(self.required && self.default.is_some()), "", "a required parameter has no default"),
            (has_min, "/min", "only an integer has `min`"),
            (has_max, "/max", "only an integer or a text has `max`"),
            (
                is_range && (self.max.is_none_or(|max| max > 0) || !is(ParameterKind::Text)),
                "/max",
                "use a greater value",
            ),
            (is(ParameterKind::Choice) != self.of.is_empty(), "/of", "a choice, and only a choice, has values in `of`"),
            (self.about.as_ref().is_none_or(|about| is_line(about, 200)), "/about", "use one line of printable text"),
        ];
        let broken = rules.into_iter().filter(|(holds, ..)| !holds);
        let mut faults: Vec<_> = broken.map(|(_, key, rule)| (key, rule.to_owned())).collect();
        if let Some(Err(rule)) = self.default.as_deref().filter(|_| faults.is_empty()).map(|value| self.check(value)) {
            faults.push(("/default", rule));
        }
        faults
    }
}

/// Whether a text can be the name of a branch. Prompts have it within a command, so a shell must read it as one word.
pub fn is_branch(name: &str) -> bool {
    // Git takes commits, ranges and whole refs for other things, and `+main` for a forced push. `#` begins a comment.
    let is_other = is_hex(name, 40)
        || ["/", "-", "+", "#", ".", "refs/"].iter().any(|start| name.starts_with(start))
        || ["..", "//", "/.", ".lock/"].iter().any(|part| name.contains(part))
        || ["/", ".", ".lock"].iter().any(|end| name.ends_with(end))
        || matches!(name, "@" | "HEAD");
    let has_sign = name.contains(|c: char| c.is_control() || " `$;&|<>(){}\"'\\~^:?*[".contains(c));
    (1..=MAX_BRANCH_BYTES).contains(&name.len()) && !is_other && !has_sign
}

/// Whether a user may write the name as a base. In a clone, `origin/main` is another name of `main`. The forge and the
/// parameters of webhooks may have such a branch.
pub fn is_base(name: &str) -> bool {
    is_branch(name) && !name.starts_with("origin/")
}

/// Faults of the declared parameters, and of keys whose parameter does not fit.
pub(super) fn check(plan: &Plan) -> Vec<PlanFault> {
    let mut faults = Vec::new();
    for (name, parameter) in &plan.parameters {
        let pointer = format!("/parameters/{}", escape(name));
        if !is_name(&name.replace('_', "-")) {
            faults.push(PlanFault::new(&pointer, NAME_RULE));
        }
        // Commands get both as `PULLYARD_PARAM_DUE_DATE`.
        let is_same = |other: &String| other < name && other.replace('-', "_") == name.replace('-', "_");
        if plan.parameters.keys().any(is_same) {
            faults.push(PlanFault::new(&pointer, "another parameter differs only in `-` and `_`"));
        }
        let of = |(key, rule)| PlanFault::new(format!("{pointer}{key}"), rule);
        faults.extend(parameter.find_faults().into_iter().map(of));
    }
    for (key, kind) in KEYS {
        let Some(name) = plan.from_parameters.get(key) else { continue };
        let fault = match (plan.parameters.get(name), kind) {
            (None, _) => "`param` names no parameter of the plan".to_owned(),
            (Some(of), Some(kind)) if of.kind != kind => format!("use a parameter of the type {}", kind.as_str()),
            // The run would be named like the parameter.
            (Some(of), None) if !of.required && of.default.as_deref().and_then(first_line).is_none() => {
                "use a parameter that is required or has a default".to_owned()
            }
            _ => continue,
        };
        faults.push(PlanFault::new(format!("/{key}/param"), fault));
    }
    faults.extend(super::starts::check_starts(plan));
    faults
}

impl Plan {
    /// The parameter whose value is the repository.
    pub fn repository_parameter(&self) -> Option<&String> {
        self.from_parameters.get("repository")
    }

    /// Whether the repository is in the plan, or in a parameter with a value.
    pub fn names_repository(&self, given: &BTreeMap<String, String>) -> bool {
        let default = |name: &String| self.parameters.get(name).and_then(|parameter| parameter.default.as_ref());
        let given = |name: &String| given.get(name).filter(|value| !value.is_empty());
        let value = self.repository_parameter().and_then(|name| given(name).or_else(|| default(name)));
        self.repository.is_some() || value.is_some()
    }

    /// The values of all parameters, which also become the values of the keys that name one. An empty value is none.
    /// Errors: the faults, with pointers of parameters.
    pub fn fill_parameters(
        &mut self,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Vec<PlanFault>> {
        let (mut faults, mut values) = (Vec::new(), BTreeMap::new());
        for name in given.keys().filter(|name| !self.parameters.contains_key(*name)) {
            faults.push(PlanFault::new(format!("/{}", escape(name)), "the plan has no such parameter"));
        }
        for (name, parameter) in &self.parameters {
            let value = given.get(name).filter(|value| !value.is_empty()).or(parameter.default.as_ref());
            let checked = match value {
                Some(value) => parameter.check(value),
                None if parameter.required => Err("the plan requires this parameter".into()),
                None => continue,
            };
            faults.extend(checked.err().map(|fault| PlanFault::new(format!("/{name}"), fault)));
            values.extend(value.map(|value| (name.clone(), value.clone())));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        for (key, name) in std::mem::take(&mut self.from_parameters) {
            let value = values.get(&name).filter(|value| !value.is_empty()).cloned();
            match key {
                "repository" => self.repository = value,
                "base" => self.base = value,
                _ => self.name = value.and_then(|text| first_line(&text)).unwrap_or(name),
            }
        }
        Ok(values)
    }
}

fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| is_line(line, usize::MAX))?;
    Some(crate::text::truncate(line, super::MAX_NAME_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plan(parameters: Value, keys: Value) -> Result<Plan, Vec<PlanFault>> {
        let mut plan = json!({ "name": "n", "steps": [{ "name": "a", "prompt": "Work." }], "parameters": parameters });
        keys.as_object().unwrap().iter().for_each(|(key, value)| plan[key] = value.clone());
        Plan::parse(plan)
    }

    fn fill(plan: &mut Plan, given: Value) -> Result<BTreeMap<String, String>, Vec<(String, String)>> {
        let filled = plan.fill_parameters(&serde_json::from_value(given).unwrap());
        filled.map_err(|faults| faults.into_iter().map(|fault| (fault.pointer, fault.fault)).collect())
    }

    #[test]
    fn values_are_checked_by_the_type_of_their_parameter() {
        for (declared, good, bad) in [
            (json!({ "type": "text", "max": 3 }), "äöü", "abcd"),
            (json!({ "type": "integer", "min": -2, "max": 5 }), "-2", "6"),
            (json!({ "type": "integer" }), "7", "7.5"),
            (json!({ "type": "boolean" }), "true", "yes"),
            (json!({ "type": "choice", "of": ["low", "high"] }), "high", "middle"),
            (json!({ "type": "repository" }), "acme/app", "app"),
            (json!({ "type": "branch" }), "v1.2", "refs/heads/main"),
            (json!({ "type": "branch" }), "next", "main..next"),
            (json!({ "type": "branch" }), "origin/main", "origin/"),
            (json!({ "type": "branch" }), "fix", "0123456789abcdef0123456789abcdef01234567"),
            (json!({ "type": "branch" }), "release/1", "-f"),
            (json!({ "type": "branch" }), "äöü/#1", "a`id`"),
            (json!({ "type": "branch" }), "a@b", "$(id)"),
            (json!({ "type": "branch" }), "a+b", "+main"),
            (json!({ "type": "branch" }), "a#1", "#1"),
            (json!({ "type": "branch" }), "HEAD-1", "HEAD"),
            (json!({ "type": "branch" }), "a.b/c", "a/.b"),
            (json!({ "type": "branch" }), "locks", "a.lock"),
            (json!({ "type": "sha" }), "0123456789abcdef0123456789abcdef01234567", "HEAD"),
            (json!({ "type": "url" }), "https://acme.example/x", "http://acme.example"),
            (json!({ "type": "ticket" }), "APP-1", ".."),
            (json!({ "type": "ticket" }), "#7", "x y"),
        ] {
            let mut plan = plan(json!({ "p": declared }), json!({})).unwrap();
            assert!(fill(&mut plan, json!({ "p": good })).is_ok(), "{declared} {good}");
            let faults = fill(&mut plan, json!({ "p": bad })).unwrap_err();
            assert!(matches!(&faults[..], [(pointer, _)] if pointer == "/p"), "{declared} {bad}: {faults:?}");
        }
    }

    #[test]
    fn value_that_no_variable_can_have_is_refused() {
        let text = json!({ "type": "text" });
        let faults = fill(&mut plan(json!({ "p": text }), json!({})).unwrap(), json!({ "p": "a\0b" })).unwrap_err();
        assert!(matches!(&faults[..], [(at, rule)] if at == "/p" && rule.contains("NUL")), "{faults:?}");
        let faults = plan(json!({ "due-date": text, "due_date": text }), json!({})).unwrap_err();
        assert!(matches!(&faults[..], [fault] if fault.pointer == "/parameters/due_date"), "{faults:?}");
    }

    #[test]
    fn faulty_declarations_are_refused_at_their_key() {
        for (declared, pointer) in [
            (json!({ "type": "boolean", "default": "yes" }), "/parameters/p/default"),
            (json!({ "type": "choice" }), "/parameters/p/of"),
            (json!({ "type": "text", "of": ["a"] }), "/parameters/p/of"),
            (json!({ "type": "text", "min": 1 }), "/parameters/p/min"),
            (json!({ "type": "url", "max": 1 }), "/parameters/p/max"),
            (json!({ "type": "integer", "min": 2, "max": 1 }), "/parameters/p/max"),
            (json!({ "type": "text", "required": true, "default": "x" }), "/parameters/p"),
        ] {
            let faults = plan(json!({ "p": declared }), json!({})).unwrap_err();
            assert!(matches!(&faults[..], [fault] if fault.pointer == pointer), "{declared}: {faults:?}");
        }
    }

    #[test]
    fn keys_take_the_values_of_their_parameters() {
        let parameters = json!({ "task": { "type": "text", "required": true }, "repo": { "type": "repository" },
            "onto": { "type": "branch", "default": "main" } });
        let keys =
            json!({ "name": { "param": "task" }, "repository": { "param": "repo" }, "base": { "param": "onto" } });
        let parsed = plan(parameters.clone(), keys).unwrap();
        let mut filled = parsed.clone();
        fill(&mut filled, json!({ "task": "\n Fix it.\nNow.", "repo": "acme/app" })).unwrap();
        let found = (filled.name.as_str(), filled.repository.as_deref(), filled.base.as_deref());
        assert_eq!(found, ("Fix it.", Some("acme/app"), Some("main")));
        assert_eq!(serde_json::from_value::<Plan>(serde_json::to_value(&filled).unwrap()).unwrap(), filled);
        let mut without = parsed;
        fill(&mut without, json!({ "task": "T" })).unwrap();
        assert_eq!(without.repository, None, "then the project's default");
        for (keys, pointer) in [
            (json!({ "name": { "param": "repo" } }), "/name/param"),
            (json!({ "base": { "param": "none" } }), "/base/param"),
            (json!({ "base": { "param": "repo" } }), "/base/param"),
            (json!({ "repository": { "param": "task" } }), "/repository/param"),
            (json!({ "repository": { "parm": "task" } }), "/repository/param"),
            (json!({ "base": 5 }), "/base"),
        ] {
            let faults = plan(parameters.clone(), keys.clone()).unwrap_err();
            assert_eq!(faults[0].pointer, pointer, "{keys}: {faults:?}");
        }
    }

    #[test]
    fn parameters_get_defaults_and_refuse_unknown_names() {
        let parameters =
            json!({ "task": { "type": "text", "required": true }, "depth": { "type": "text", "default": "2" } });
        let mut plan = plan(parameters, json!({})).unwrap();
        for given in [json!({ "task": "T" }), json!({ "task": "T", "depth": "" })] {
            let filled = fill(&mut plan, given).unwrap();
            assert_eq!(serde_json::to_value(filled).unwrap(), json!({ "task": "T", "depth": "2" }));
        }
        let mut pointers = |given: Value| -> Vec<String> {
            fill(&mut plan, given).unwrap_err().into_iter().map(|(pointer, _)| pointer).collect()
        };
        assert_eq!(pointers(json!({ "other": "x" })), ["/other", "/task"]);
        assert_eq!(pointers(json!({ "task": "x".repeat(4_097) })), ["/task"]);
        assert_eq!(pointers(json!({ "task": "" })), ["/task"], "an empty value is none");
    }
}
