//! Reads YAML as JSON, with the place of each key and list item, and stops at the first breach of a limit.
//!
//! The reader counts the parser's events one by one: neither nested nor repeated content can use more than the limits.

use super::placed_fault::{Place, PlacedFault};
use pullyard_domain::project::plan::{MAX_DEPTH, MAX_KEY_BYTES, MAX_NODES};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::str::Chars;
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::{Marker, ScanError, TScalarStyle};

/// Places by JSON pointer.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, Place>);

impl Places {
    /// The place of the pointer, or of the nearest parent that is in the file.
    pub(super) fn find(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            match (self.0.get(pointer), pointer.rsplit_once('/')) {
                (Some(place), _) => return *place,
                (None, Some((parent, _))) => pointer = parent,
                (None, None) => return (1, 1),
            }
        }
    }
}

#[derive(Default)]
pub(super) struct Reader {
    places: Places,
    /// Mappings, lists, keys and values so far.
    nodes: usize,
}

pub(super) fn parse_yaml(text: &str) -> Result<(Value, Places), PlacedFault> {
    let mut reader = Reader::default();
    let value = reader.read(text)?;
    Ok((value, reader.places))
}

/// The parser takes NUL for the end of the file.
fn check_no_nul(text: &str) -> Result<(), PlacedFault> {
    let Some(at) = text.find('\0') else { return Ok(()) };
    let before = &text[..at];
    let (line, rest) = (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap_or_default());
    let fault = "the character NUL (U+0000) is not allowed; remove it".to_owned();
    Err(PlacedFault::new((line, rest.chars().count() + 1), String::new(), fault))
}

impl Reader {
    fn read(&mut self, text: &str) -> Result<Value, PlacedFault> {
        check_no_nul(text)?;
        let (mut parser, mut root) = (Parser::new_from_str(text), None);
        loop {
            match self.next_event(&mut parser)? {
                (Event::StreamEnd, _) => return Ok(root.unwrap_or_default()),
                (Event::DocumentStart, mark) if root.is_some() => return Err(breach(mark, "use one document")),
                (Event::Nothing | Event::StreamStart | Event::DocumentStart | Event::DocumentEnd, _) => {}
                node => root = Some(self.read_node(&mut parser, node, "")?),
            }
        }
    }

    fn next_event(&mut self, parser: &mut Parser<Chars<'_>>) -> Result<(Event, Marker), PlacedFault> {
        let not_yaml = |error: ScanError| breach(*error.marker(), &format!("this is not YAML: {}", error.info()));
        let (event, mark) = parser.next_token().map_err(not_yaml)?;
        if let Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) =
            &event
        {
            self.nodes += 1;
            if *anchor != 0 {
                return Err(breach(mark, "anchors are not allowed"));
            }
            if tag.is_some() {
                return Err(breach(mark, "tags are not allowed"));
            }
            if self.nodes > MAX_NODES {
                return Err(breach(mark, &format!("use at most {MAX_NODES} nodes")));
            }
        }
        Ok((event, mark))
    }

    fn read_node(
        &mut self,
        parser: &mut Parser<Chars<'_>>,
        (event, mark): (Event, Marker),
        pointer: &str,
    ) -> Result<Value, PlacedFault> {
        // The limit of levels also limits the recursion. Each level has one slash in the pointer.
        let is_container = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        if is_container && pointer.matches('/').count() >= MAX_DEPTH {
            return Err(breach(mark, &format!("use at most {MAX_DEPTH} levels")));
        }
        match event {
            Event::Scalar(text, style, ..) => {
                self.note_place(pointer, mark);
                Ok(if style == TScalarStyle::Plain { to_value(text) } else { Value::String(text) })
            }
            Event::SequenceStart(..) => {
                self.note_place(pointer, mark);
                let mut items = Vec::new();
                loop {
                    match self.next_event(parser)? {
                        (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                        node => items.push(self.read_node(parser, node, &format!("{pointer}/{}", items.len()))?),
                    }
                }
            }
            Event::MappingStart(..) => self.read_members(parser, pointer),
            _ => Err(breach(mark, "aliases are not allowed")),
        }
    }

    fn read_members(&mut self, parser: &mut Parser<Chars<'_>>, pointer: &str) -> Result<Value, PlacedFault> {
        let mut members = Map::new();
        loop {
            let (event, mark) = self.next_event(parser)?;
            // The parser's mark of a mapping in block style is behind its first key, so the mapping has the place of
            // its first key or of its end.
            self.note_place(pointer, mark);
            let (key, style) = match event {
                Event::MappingEnd => return Ok(Value::Object(members)),
                Event::Scalar(key, style, ..) => (key, style),
                _ => return Err(breach(mark, "a key is text")),
            };
            // The pointer of each member has the key.
            if key.len() > MAX_KEY_BYTES {
                return Err(breach(mark, &format!("a key has at most {MAX_KEY_BYTES} bytes")));
            }
            if key == "<<" && style == TScalarStyle::Plain {
                return Err(breach(mark, "merge keys are not allowed"));
            }
            if members.contains_key(&key) {
                return Err(breach(mark, &format!("`{key}` is set twice")));
            }
            let member = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            // The place of a member is that of its key.
            self.note_place(&member, mark);
            let value = self.next_event(parser)?;
            members.insert(key, self.read_node(parser, value, &member)?);
        }
    }

    /// The first place counts.
    fn note_place(&mut self, pointer: &str, mark: Marker) {
        self.places.0.entry(pointer.to_owned()).or_insert(place_of(mark));
    }
}

fn breach(mark: Marker, fault: &str) -> PlacedFault {
    PlacedFault::new(place_of(mark), String::new(), fault.to_owned())
}

fn place_of(mark: Marker) -> Place {
    (mark.line(), mark.col() + 1)
}

/// A plain scalar by the core schema of YAML 1.2, in which `no` and `on` are text. No key of a plan needs `0x1F`.
fn to_value(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number => parse_number(number).map_or(Value::String(text), Value::Number),
    }
}

fn parse_number(text: &str) -> Option<Number> {
    // Rust also parses `inf` and `nan`, which are text here.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    if !is_number || !has_digit {
        return None;
    }
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    whole.ok().or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

#[cfg(test)]
mod tests;
