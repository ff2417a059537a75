//! Reads CloudFormation templates: YAML with short tags, and references resolved to known values.

use crate::prelude::*;
use serde_json::Map;
use yaml_rust2::Event;
use yaml_rust2::parser::{EventReceiver, Parser, Tag};
use yaml_rust2::scanner::TScalarStyle;

/// Reads YAML as CloudFormation does: `!Ref A` is `{"Ref": "A"}`, `!GetAtt A.B` is `{"Fn::GetAtt": ["A", "B"]}`,
/// and `!Name x` is `{"Fn::Name": x}`.
pub(crate) fn parse(text: &str) -> Value {
    let mut reader = Reader::default();
    Parser::new_from_str(text).load(&mut reader, false).unwrap();
    reader.document.expect("a document")
}

#[derive(Default)]
struct Reader {
    containers: Vec<(Container, Option<Tag>)>,
    document: Option<Value>,
}

enum Container {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

impl Reader {
    fn put(&mut self, value: Value) {
        match self.containers.last_mut() {
            None => self.document = Some(value),
            Some((Container::List(all), _)) => all.push(value),
            Some((Container::Map(all, key), _)) => match key.take() {
                None => *key = Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
                Some(name) => {
                    assert!(all.insert(name.clone(), value).is_none(), "{name} is defined twice");
                }
            },
        }
    }

    fn close(&mut self) {
        let (open, tag) = self.containers.pop().unwrap();
        let value = match open {
            Container::List(all) => Value::Array(all),
            Container::Map(all, _) => Value::Object(all),
        };
        self.put(apply_tag(tag, value));
    }
}

impl EventReceiver for Reader {
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Scalar(text, style, _, tag) => {
                let plain = style == TScalarStyle::Plain && tag.is_none();
                let value = if plain { scalar(&text) } else { Value::String(text) };
                self.put(apply_tag(tag, value));
            }
            Event::SequenceStart(_, tag) => self.containers.push((Container::List(Vec::new()), tag)),
            Event::MappingStart(_, tag) => self.containers.push((Container::Map(Map::new(), None), tag)),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(_) => panic!("CloudFormation does not support YAML aliases"),
            _ => {}
        }
    }
}

fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse::<i64>() {
            // A number with another spelling stays text, such as an account id with leading zeros.
            Ok(number) if number.to_string() == text => json!(number),
            _ => Value::String(text.to_owned()),
        },
    }
}

fn apply_tag(tag: Option<Tag>, value: Value) -> Value {
    match tag {
        None => value,
        Some(tag) => match (tag.suffix.as_str(), &value) {
            (name @ ("Ref" | "Condition"), _) => json!({ name: value }),
            ("GetAtt", Value::String(path)) => {
                let (of, attribute) = path.split_once('.').unwrap();
                json!({ "Fn::GetAtt": [of, attribute] })
            }
            (name, _) => json!({ format!("Fn::{name}"): value }),
        },
    }
}

/// Values of references: `Name` for a parameter or resource, `Name.Attribute` for an attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct References(pub(crate) BTreeMap<String, String>);

impl References {
    fn get(&self, name: &str) -> Result<&str, String> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("{name} is not known"))
    }

    /// Resolves every reference. `Fn::If` stays as written: no caller depends on one.
    pub(crate) fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Array(all) => all.iter().map(|one| self.resolve(one)).collect::<Result<_, _>>().map(Value::Array),
            Value::Object(fields) => match fields.iter().next().filter(|_| fields.len() == 1) {
                Some((name, of)) if name == "Ref" => Ok(json!(self.get(of.as_str().unwrap_or_default())?)),
                Some((name, Value::Array(path))) if name == "Fn::GetAtt" => {
                    let segments = path.iter().filter_map(Value::as_str).collect::<Vec<_>>();
                    Ok(json!(self.get(&segments.join("."))?))
                }
                Some((name, Value::String(text))) if name == "Fn::Sub" => Ok(json!(self.substitute(text)?)),
                Some((name, _)) if name.starts_with("Fn::") => Err(format!("{name} is not understood here")),
                _ => {
                    let each = fields.iter().map(|(name, value)| Ok((name.clone(), self.resolve(value)?)));
                    each.collect::<Result<_, String>>().map(Value::Object)
                }
            },
            other => Ok(other.clone()),
        }
    }

    fn substitute(&self, text: &str) -> Result<String, String> {
        let (mut done, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after.split_once('}').ok_or_else(|| format!("{text} is not closed"))?;
            done.push_str(before);
            match name.strip_prefix('!') {
                Some(word) => done.push_str(&format!("${{{word}}}")),
                None => done.push_str(self.get(name)?),
            }
            rest = after;
        }
        Ok(done + rest)
    }
}
