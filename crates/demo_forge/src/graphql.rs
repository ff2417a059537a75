//! Parses the subset of GraphQL that clients of three operations need. Refuses fragments and directives.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) alias: String,
    pub(crate) name: String,
    pub(crate) arguments: Map<String, Value>,
    pub(crate) fields: Vec<Field>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) is_mutation: bool,
    pub(crate) fields: Vec<Field>,
}

const MAX_DEPTH: usize = 24;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(Value),
    Mark(char),
}

pub(crate) fn parse(text: &str, variables: &Map<String, Value>) -> Result<Document, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, variables, defaults: BTreeMap::new() };
    let mut is_mutation = false;
    if let Some(Token::Name(kind)) = parser.peek().cloned() {
        parser.at += 1;
        is_mutation = match kind.as_str() {
            "query" => false,
            "mutation" => true,
            other => return Err(format!("Expected a query or a mutation, not {other:?}")),
        };
        if let Some(Token::Name(_)) = parser.peek() {
            parser.at += 1;
        }
        if parser.take('(') {
            parser.declarations()?;
        }
    }
    let fields = parser.selection(0)?;
    match parser.peek() {
        None => Ok(Document { is_mutation, fields }),
        Some(_) => Err("Expected one operation and nothing after it".to_owned()),
    }
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    variables: &'a Map<String, Value>,
    defaults: BTreeMap<String, Value>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, mark: char) -> bool {
        let found = self.peek() == Some(&Token::Mark(mark));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, mark: char) -> Result<(), String> {
        if self.take(mark) { Ok(()) } else { Err(format!("Expected {mark:?}, got {:?}", self.peek())) }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.peek().cloned() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            other => Err(format!("Expected a name, got {other:?}")),
        }
    }

    fn declarations(&mut self) -> Result<(), String> {
        while !self.take(')') {
            self.expect('$')?;
            let name = self.name()?;
            self.expect(':')?;
            while self.take('[') {}
            self.name()?;
            while self.take('!') || self.take(']') {}
            if self.take('=') {
                let value = self.value(0)?;
                self.defaults.insert(name, value);
            }
        }
        Ok(())
    }

    fn selection(&mut self, depth: usize) -> Result<Vec<Field>, String> {
        if depth > MAX_DEPTH {
            return Err("The document is too deep".to_owned());
        }
        self.expect('{')?;
        let mut fields = Vec::new();
        while !self.take('}') {
            if self.peek() == Some(&Token::Mark('.')) {
                self.inline_fragment(depth, &mut fields)?;
                continue;
            }
            let first = self.name()?;
            let (alias, name) = if self.take(':') { (first, self.name()?) } else { (first.clone(), first) };
            let mut arguments = Map::new();
            if self.take('(') {
                while !self.take(')') {
                    let argument = self.name()?;
                    self.expect(':')?;
                    let value = self.value(0)?;
                    arguments.insert(argument, value);
                }
            }
            let inner = if self.peek() == Some(&Token::Mark('{')) { self.selection(depth + 1)? } else { Vec::new() };
            fields.push(Field { alias, name, arguments, fields: inner });
        }
        Ok(fields)
    }

    /// `... on Type { … }`. Accepted for any type.
    fn inline_fragment(&mut self, depth: usize, fields: &mut Vec<Field>) -> Result<(), String> {
        for _ in 0..3 {
            self.expect('.')?;
        }
        if self.name()? != "on" {
            return Err("Named fragments are not understood here".to_owned());
        }
        self.name()?;
        fields.extend(self.selection(depth + 1)?);
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("A value is too deep".to_owned());
        }
        let token = self.peek().cloned().ok_or_else(|| "Expected a value".to_owned())?;
        self.at += 1;
        match token {
            Token::Text(text) => Ok(Value::String(text)),
            Token::Number(number) => Ok(number),
            Token::Name(name) => Ok(match name.as_str() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::String(name),
            }),
            Token::Mark('$') => {
                let name = self.name()?;
                let value = self.variables.get(&name).or_else(|| self.defaults.get(&name));
                Ok(value.cloned().unwrap_or(Value::Null))
            }
            Token::Mark('[') => {
                let mut list = Vec::new();
                while !self.take(']') {
                    list.push(self.value(depth + 1)?);
                }
                Ok(Value::Array(list))
            }
            Token::Mark('{') => {
                let mut fields = Map::new();
                while !self.take('}') {
                    let name = self.name()?;
                    self.expect(':')?;
                    let value = self.value(depth + 1)?;
                    fields.insert(name, value);
                }
                Ok(Value::Object(fields))
            }
            Token::Mark(other) => Err(format!("Expected a value, got {other:?}")),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' | ',' => {}
            '#' => while rest.next_if(|next| *next != '\n').is_some() {},
            '"' => tokens.push(Token::Text(string(&mut rest)?)),
            'a'..='z' | 'A'..='Z' | '_' => {
                let mut name = String::from(character);
                while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
                    name.push(next);
                }
                tokens.push(Token::Name(name));
            }
            '0'..='9' | '-' => {
                let mut number = String::from(character);
                while let Some(next) = rest.next_if(|next| next.is_ascii_alphanumeric() || "+-.".contains(*next)) {
                    number.push(next);
                }
                let number = serde_json::from_str(&number).map_err(|_| format!("{number} is not a number"))?;
                tokens.push(Token::Number(number));
            }
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '$' | '!' | '=' | '.' => tokens.push(Token::Mark(character)),
            other => return Err(format!("Unexpected {other:?}")),
        }
    }
    Ok(tokens)
}

fn string(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<String, String> {
    let unfinished = || "A string has no end".to_owned();
    // Escapes are JSON's.
    let mut json = String::from('"');
    loop {
        let character = rest.next().ok_or_else(unfinished)?;
        if character == '\n' {
            return Err(unfinished());
        }
        json.push(character);
        match character {
            '"' => break,
            '\\' => json.push(rest.next().ok_or_else(unfinished)?),
            _ => {}
        }
    }
    if json == "\"\"" && rest.peek() == Some(&'"') {
        return Err("Block strings are not understood here".to_owned());
    }
    serde_json::from_str(&json).map_err(|_| "A string has an escape that there is not".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, variables: Value) -> Result<Document, String> {
        parse(text, variables.as_object().unwrap())
    }

    #[test]
    fn variables_aliases_defaults_and_nested_values_are_understood() {
        let text = "mutation Reply($id: ID!, $n: Int = 3) { # said\n a: add(input: {id: $id, list: [1, $n], t: \"x\\\"\"}) { c { id } ... on X { d } } }";
        let document = read(text, json!({ "id": "T" })).unwrap();
        assert!(document.is_mutation);
        let field = &document.fields[0];
        assert_eq!((field.alias.as_str(), field.name.as_str()), ("a", "add"));
        assert_eq!(field.arguments["input"], json!({ "id": "T", "list": [1, 3], "t": "x\"" }));
        assert_eq!(field.fields.len(), 2);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for bad in ["", "{", "{ a(b: ) }", "subscription { a }", "{ ...F }", "{ a(b: \"x) }", "{ a } { b }", "{ a @b }"]
        {
            assert!(read(bad, json!({})).is_err(), "{bad}");
        }
        let deep = "{a".repeat(100);
        assert!(read(&deep, json!({})).is_err());
    }
}
