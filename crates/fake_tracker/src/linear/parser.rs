//! Parses the GraphQL that the client and the schema use: no fragments, directives, comments or defaults.

use std::collections::BTreeMap;

use serde_json::Value;

pub(super) struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<String>>,
}

#[derive(Debug)]
pub(super) struct Document {
    /// `query` or `mutation`.
    pub(super) operation: String,
    /// Name and type.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) selection: Vec<Selected>,
}

#[derive(Debug)]
pub(super) struct Selected {
    pub(super) alias: String,
    pub(super) name: String,
    pub(super) arguments: BTreeMap<String, Input>,
    pub(super) selection: Vec<Selected>,
}

#[derive(Debug)]
pub(super) enum Input {
    Variable(String),
    Enum(String),
    Literal(Value),
    List(Vec<Input>),
    Object(BTreeMap<String, Input>),
}

impl Parser {
    pub(super) fn new(text: &str) -> Self {
        let mut tokens: Vec<String> = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let is_word = |letter: &char| letter.is_alphanumeric() || *letter == '_';
            if letter == '"' {
                let text: String = letters.by_ref().take_while(|letter| *letter != '"').collect();
                tokens.push(format!("\"{text}\""));
            } else if is_word(&letter) {
                let mut word = letter.to_string();
                while let Some(letter) = letters.next_if(is_word) {
                    word.push(letter);
                }
                tokens.push(word);
            } else if !letter.is_whitespace() && letter != ',' {
                tokens.push(letter.to_string());
            }
        }
        Self { tokens: tokens.into_iter().peekable() }
    }

    pub(super) fn next(&mut self) -> Option<String> {
        self.tokens.next()
    }

    fn take(&mut self) -> Result<String, String> {
        self.next().ok_or_else(|| "Syntax Error: Unexpected <EOF>.".to_owned())
    }

    pub(super) fn skip(&mut self, token: &str) -> bool {
        self.tokens.next_if(|next| next == token).is_some()
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), String> {
        let next = self.take()?;
        if next == token { Ok(()) } else { Err(format!("Syntax Error: Expected \"{token}\", found \"{next}\".")) }
    }

    pub(super) fn name(&mut self) -> Result<String, String> {
        let next = self.take()?;
        let is_name = next.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
        if is_name { Ok(next) } else { Err(format!("Syntax Error: Expected Name, found \"{next}\".")) }
    }

    pub(super) fn until<T>(
        &mut self,
        end: &str,
        mut item: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut items = Vec::new();
        while !self.skip(end) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// A type, such as `[String!]!`.
    pub(super) fn of(&mut self) -> Result<String, String> {
        let mut of = if self.skip("[") {
            let inner = self.of()?;
            self.expect("]")?;
            format!("[{inner}]")
        } else {
            self.name()?
        };
        if self.skip("!") {
            of.push('!');
        }
        Ok(of)
    }

    pub(super) fn document(&mut self) -> Result<Document, String> {
        let operation = self.name()?;
        self.name()?;
        let variable = |parser: &mut Self| {
            parser.expect("$")?;
            let name = parser.name()?;
            parser.expect(":")?;
            Ok((name, parser.of()?))
        };
        let variables = if self.skip("(") { self.until(")", variable)? } else { Vec::new() };
        self.expect("{")?;
        let selection = self.until("}", Self::selected)?;
        match self.next() {
            None => Ok(Document { operation, variables: variables.into_iter().collect(), selection }),
            Some(more) => Err(format!("Syntax Error: Unexpected \"{more}\".")),
        }
    }

    fn selected(&mut self) -> Result<Selected, String> {
        let alias = self.name()?;
        let name = if self.skip(":") { self.name()? } else { alias.clone() };
        let arguments = if self.skip("(") { self.until(")", Self::named)? } else { Vec::new() };
        let selection = if self.skip("{") { self.until("}", Self::selected)? } else { Vec::new() };
        Ok(Selected { alias, name, arguments: arguments.into_iter().collect(), selection })
    }

    fn named(&mut self) -> Result<(String, Input), String> {
        let name = self.name()?;
        self.expect(":")?;
        Ok((name, self.input()?))
    }

    fn input(&mut self) -> Result<Input, String> {
        let next = self.take()?;
        Ok(match next.as_str() {
            "$" => Input::Variable(self.name()?),
            "[" => Input::List(self.until("]", Self::input)?),
            "{" => Input::Object(self.until("}", Self::named)?.into_iter().collect()),
            text => match serde_json::from_str(text) {
                Ok(literal) => Input::Literal(literal),
                Err(_) => Input::Enum(next),
            },
        })
    }
}
