//! Reads YAML as JSON, with the place of each key and list item, and stops at the first breach of a limit.
//!
//! It handles the parser's events one by one: neither nested nor repeated content can use more than the limits.

use pullyard_domain::plan::{MAX_DEPTH, MAX_KEY_BYTES, MAX_NODES};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::{Marker, TScalarStyle};

/// Line and column, from 1.
pub(super) type Place = (usize, usize);

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Breach {
    pub(super) place: Place,
    pub(super) fault: String,
}

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

enum Container {
    List(Vec<Value>),
    /// The members, and the key whose value follows.
    Keys(Map<String, Value>, Option<String>),
}

#[derive(Default)]
pub(super) struct Reader {
    /// Containers that are not closed, with their pointers.
    open: Vec<(String, Container)>,
    places: Places,
    root: Option<Value>,
    /// Mappings, lists, keys and values so far.
    nodes: usize,
}

pub(super) fn parse_yaml(text: &str) -> Result<(Value, Places), Breach> {
    let mut reader = Reader::default();
    reader.read(text)?;
    Ok((reader.root.unwrap_or(Value::Null), reader.places))
}

impl Reader {
    fn read(&mut self, text: &str) -> Result<(), Breach> {
        let mut parser = Parser::new_from_str(text);
        loop {
            let (event, mark) = parser
                .next_token()
                .map_err(|error| breach(*error.marker(), &format!("this is not YAML: {}", error.info())))?;
            if event == Event::StreamEnd {
                return Ok(());
            }
            self.handle(event, mark)?;
        }
    }

    fn handle(&mut self, event: Event, mark: Marker) -> Result<(), Breach> {
        if let Event::Scalar(_, _, anchor, tag) | Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) =
            &event
        {
            self.count(mark, *anchor, tag.as_ref())?;
        }
        match event {
            Event::Alias(_) => Err(breach(mark, "aliases are not allowed")),
            Event::DocumentStart if self.root.is_some() => Err(breach(mark, "use one document")),
            Event::Scalar(text, style, ..) => match self.open.last_mut() {
                Some((pointer, Container::Keys(members, key @ None))) => {
                    // The pointer of each member has the key.
                    if text.len() > MAX_KEY_BYTES {
                        return Err(breach(mark, &format!("a key has at most {MAX_KEY_BYTES} bytes")));
                    }
                    if text == "<<" && style == TScalarStyle::Plain {
                        return Err(breach(mark, "merge keys are not allowed"));
                    }
                    if members.contains_key(&text) {
                        return Err(breach(mark, &format!("`{text}` is set twice")));
                    }
                    *key = Some(text);
                    // The parser's mark of a mapping in block style is behind its first key.
                    self.places.0.entry(pointer.clone()).or_insert(place_of(mark));
                    self.note_place(mark);
                    Ok(())
                }
                _ => {
                    self.note_place(mark);
                    self.add(if style == TScalarStyle::Plain { to_value(text) } else { Value::String(text) });
                    Ok(())
                }
            },
            Event::SequenceStart(..) => self.open(mark, Container::List(Vec::new())),
            Event::MappingStart(..) => self.open(mark, Container::Keys(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some((pointer, closed)) = self.open.pop() else { return Ok(()) };
                // A mapping without a key has the place of its end.
                self.places.0.entry(pointer).or_insert(place_of(mark));
                self.add(match closed {
                    Container::List(items) => Value::Array(items),
                    Container::Keys(members, _) => Value::Object(members),
                });
                Ok(())
            }
            Event::DocumentStart | Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn count(&mut self, mark: Marker, anchor: usize, tag: Option<&Tag>) -> Result<(), Breach> {
        self.nodes += 1;
        match () {
            () if anchor != 0 => Err(breach(mark, "anchors are not allowed")),
            () if tag.is_some() => Err(breach(mark, "tags are not allowed")),
            () if self.nodes > MAX_NODES => Err(breach(mark, &format!("use at most {MAX_NODES} nodes"))),
            () => Ok(()),
        }
    }

    fn open(&mut self, mark: Marker, container: Container) -> Result<(), Breach> {
        if self.open.len() >= MAX_DEPTH {
            return Err(breach(mark, &format!("use at most {MAX_DEPTH} levels")));
        }
        if let Some((_, Container::Keys(_, None))) = self.open.last() {
            return Err(breach(mark, "a key is text"));
        }
        if matches!(container, Container::List(_)) {
            self.note_place(mark);
        }
        self.open.push((self.next_pointer(), container));
        Ok(())
    }

    /// The pointer of the next value.
    fn next_pointer(&self) -> String {
        match self.open.last() {
            Some((pointer, Container::List(items))) => format!("{pointer}/{}", items.len()),
            Some((pointer, Container::Keys(_, key))) => {
                let key = key.as_deref().unwrap_or_default();
                format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            None => String::new(),
        }
    }

    /// The place of a member is the place of its key, which is read first.
    fn note_place(&mut self, mark: Marker) {
        self.places.0.entry(self.next_pointer()).or_insert(place_of(mark));
    }

    fn add(&mut self, value: Value) {
        match self.open.last_mut() {
            Some((_, Container::List(items))) => items.push(value),
            Some((_, Container::Keys(members, key))) => {
                if let Some(key) = key.take() {
                    members.insert(key, value);
                }
            }
            None => self.root = Some(value),
        }
    }
}

fn breach(mark: Marker, fault: &str) -> Breach {
    Breach { place: place_of(mark), fault: fault.to_owned() }
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
