//! Validates a document and its variables against the schema, and replaces variables by their values.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::parser::{Document, Input, Selected};
use super::schema::{Member, Schema, schema};

/// A selected field with values as arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) selection: Vec<Call>,
}

struct Context<'a> {
    schema: &'static Schema,
    declared: &'a BTreeMap<String, String>,
    values: &'a Map<String, Value>,
    used: RefCell<BTreeSet<String>>,
}

pub(super) fn validate(document: &Document, variables: &Value) -> Result<Vec<Call>, String> {
    let empty = Map::new();
    let values = variables.as_object().unwrap_or(&empty);
    let (declared, used) = (&document.variables, RefCell::default());
    let context = Context { schema: schema(), declared, values, used };
    for (name, of) in &document.variables {
        context.check_value(values.get(name).unwrap_or(&Value::Null), of, &format!("Variable \"${name}\""))?;
    }
    let root = match document.operation.as_str() {
        "query" => "Query",
        "mutation" => "Mutation",
        other => return Err(format!("Syntax Error: Unexpected Name \"{other}\".")),
    };
    let calls = context.select(&document.selection, root)?;
    match document.variables.keys().find(|name| !context.used.borrow().contains(*name)) {
        Some(name) => Err(format!("Variable \"${name}\" is never used.")),
        None => Ok(calls),
    }
}

/// By Linear's rule: a value has 0.1 points and an object 1. A connection multiplies the points of its nodes by its
/// size, which is 50 if the query omits it. Units: tenths of a point.
pub(super) fn complexity(calls: &[Call]) -> u64 {
    let points = |call: &Call| {
        let size = ["first", "last"].iter().find_map(|name| call.arguments.get(*name)?.as_u64());
        match call.selection.iter().find(|inner| inner.name == "nodes") {
            Some(nodes) => size.unwrap_or(50) * (10 + complexity(&nodes.selection)),
            None if call.selection.is_empty() => 1,
            None => 10 + complexity(&call.selection),
        }
    };
    calls.iter().map(points).sum()
}

/// The name inside `[…]` and `!`.
pub(super) fn inner(of: &str) -> &str {
    of.trim_matches(['[', ']', '!'])
}

impl Context<'_> {
    fn select(&self, selection: &[Selected], of: &str) -> Result<Vec<Call>, String> {
        let members = self.schema.types.get(of).ok_or_else(|| format!("{of} is no object"))?;
        let call = |selected: &Selected| {
            let name = &selected.name;
            let member = members.get(name).ok_or_else(|| format!("Cannot query field \"{name}\" on type \"{of}\"."))?;
            let result = inner(&member.of);
            let selection = match (self.schema.types.contains_key(result), selected.selection.is_empty()) {
                (true, false) => self.select(&selected.selection, result)?,
                (false, true) => Vec::new(),
                _ => return Err(format!("Field \"{name}\" of type \"{}\" has a wrong selection.", member.of)),
            };
            let arguments = self.arguments(&selected.arguments, member, name)?;
            Ok(Call { alias: selected.alias.clone(), name: name.clone(), arguments, selection })
        };
        selection.iter().map(call).collect()
    }

    fn arguments(
        &self,
        given: &BTreeMap<String, Input>,
        member: &Member,
        field: &str,
    ) -> Result<Map<String, Value>, String> {
        let mut values = Map::new();
        for (name, input) in given {
            let of = member
                .arguments
                .get(name)
                .ok_or_else(|| format!("Unknown argument \"{name}\" on field \"{field}\"."))?;
            values.insert(name.clone(), self.resolve(input, of)?);
        }
        let missing = member.arguments.iter().find(|(name, of)| of.ends_with('!') && !given.contains_key(*name));
        match missing {
            Some((name, _)) => Err(format!("Argument \"{name}\" of field \"{field}\" is required.")),
            None => Ok(values),
        }
    }

    fn resolve(&self, input: &Input, of: &str) -> Result<Value, String> {
        let value = match input {
            Input::Variable(name) => {
                let declared =
                    self.declared.get(name).ok_or_else(|| format!("Variable \"${name}\" is not defined."))?;
                if declared != of && declared.trim_end_matches('!') != of {
                    return Err(format!(
                        "Variable \"${name}\" of type \"{declared}\" used in position expecting type \"{of}\"."
                    ));
                }
                self.used.borrow_mut().insert(name.clone());
                return Ok(self.values.get(name).cloned().unwrap_or_default());
            }
            Input::Enum(word) => {
                let known = self.schema.enums.get(inner(of)).is_some_and(|words| words.contains(word));
                return if known { Ok(word.as_str().into()) } else { Err(format!("{word} is no {of}.")) };
            }
            Input::Literal(value) => value.clone(),
            Input::List(items) => {
                items.iter().map(|item| self.resolve(item, inner(of))).collect::<Result<Value, _>>()?
            }
            Input::Object(members) => {
                let types = self.schema.types.get(inner(of)).ok_or_else(|| format!("{of} is no object."))?;
                let mut object = Map::new();
                for (name, input) in members {
                    let member = types.get(name).ok_or_else(|| unknown_field(name, of))?;
                    object.insert(name.clone(), self.resolve(input, &member.of)?);
                }
                return Ok(Value::Object(object));
            }
        };
        if !matches!(input, Input::List(_)) {
            self.check_value(&value, of, "An argument")?;
        }
        Ok(value)
    }

    fn check_value(&self, value: &Value, of: &str, place: &str) -> Result<(), String> {
        let wrong = || Err(format!("{place} got invalid value {value}; Expected type \"{of}\"."));
        let (nullable, is_required) = (of.strip_suffix('!').unwrap_or(of), of.ends_with('!'));
        if value.is_null() {
            return if is_required { wrong() } else { Ok(()) };
        }
        if let Some(item) = nullable.strip_prefix('[').and_then(|of| of.strip_suffix(']')) {
            let Some(items) = value.as_array() else { return wrong() };
            return items.iter().try_for_each(|value| self.check_value(value, item, place));
        }
        if let Some(members) = self.schema.types.get(nullable) {
            let Some(object) = value.as_object() else { return wrong() };
            if let Some(name) = object.keys().find(|name| !members.contains_key(*name)) {
                return Err(format!("{place}: {}", unknown_field(name, of)));
            }
            let check = |(name, member): (&String, &Member)| {
                self.check_value(object.get(name).unwrap_or(&Value::Null), &member.of, &format!("{place}.{name}"))
            };
            return members.iter().try_for_each(check);
        }
        let fits = match nullable {
            "Int" => value.is_i64() || value.is_u64(),
            "Float" => value.is_number(),
            "Boolean" => value.is_boolean(),
            _ => value.is_string(),
        };
        if fits { Ok(()) } else { wrong() }
    }
}

fn unknown_field(name: &str, of: &str) -> String {
    format!("Field \"{name}\" is not defined by type \"{}\".", inner(of))
}
