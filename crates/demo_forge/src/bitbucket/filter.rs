//! Bitbucket's language of queries, `q=source.branch.name="x" AND state="OPEN"`: as much of it as lists need.
//! Which fields there are is said by the list.

use std::{iter::Peekable, vec::IntoIter};

use super::refusal::Refusal;
use crate::clock;

const MAX_CHARACTERS: usize = 2_000;
/// Brackets in brackets.
const MAX_DEPTH: usize = 10;

/// The longer signs first: one begins like the other.
const SIGNS: [(&str, How); 8] = [
    ("!=", How::IsNot),
    ("!~", How::Lacks),
    (">=", How::AtLeast),
    ("<=", How::AtMost),
    ("=", How::Is),
    ("~", How::Contains),
    (">", How::Above),
    ("<", How::Below),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Is,
    IsNot,
    Contains,
    Lacks,
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl How {
    fn holds(self, found: &str, wanted: &str) -> bool {
        // Numbers as numbers, times by their seconds.
        let order = |text: &str| text.parse().unwrap_or_else(|_| clock::unix_secs_of(text));
        let contains = || found.to_lowercase().contains(&wanted.to_lowercase());
        match self {
            Self::Is => found == wanted,
            Self::IsNot => found != wanted,
            Self::Contains => contains(),
            Self::Lacks => !contains(),
            Self::AtLeast => order(found) >= order(wanted),
            Self::AtMost => order(found) <= order(wanted),
            Self::Above => order(found) > order(wanted),
            Self::Below => order(found) < order(wanted),
        }
    }
}

/// What must hold of each entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    One(Comparison),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    field: String,
    how: How,
    value: String,
}

impl Filter {
    /// Errors: it can't be read, or speaks of a field that is not among these.
    pub(super) fn parse(text: &str, fields: &[&str]) -> Result<Self, Refusal> {
        let read = || {
            if text.len() > MAX_CHARACTERS {
                return None;
            }
            let mut reader = Reader { tokens: tokens(text)?.into_iter().peekable(), fields, depth: 0 };
            let filter = reader.any()?;
            reader.tokens.next().is_none().then_some(filter)
        };
        read().ok_or_else(|| Refusal::bad_request(&format!("Invalid filter: {text}")))
    }

    pub(super) fn fits(&self, value_of: &dyn Fn(&str) -> String) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.fits(value_of)),
            Self::Any(parts) => parts.iter().any(|part| part.fits(value_of)),
            Self::One(Comparison { field, how, value }) => how.holds(&value_of(field), value),
        }
    }

    /// Whether it says anything of a field.
    pub(super) fn mentions(&self, name: &str) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.mentions(name)),
            Self::One(comparison) => comparison.field == name,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    How(How),
    /// In quotes.
    Text(String),
    /// A field, a word between conditions, a number or a time.
    Word(String),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (token, left) = token(rest)?;
        tokens.push(token);
        rest = left.trim_start();
    }
    Some(tokens)
}

/// The first token, and what comes after it.
fn token(text: &str) -> Option<(Token, &str)> {
    if let Some(left) = text.strip_prefix('(') {
        return Some((Token::Open, left));
    }
    if let Some(left) = text.strip_prefix(')') {
        return Some((Token::Close, left));
    }
    if let Some(left) = text.strip_prefix('"') {
        return quoted(left);
    }
    for (sign, how) in SIGNS {
        if let Some(left) = text.strip_prefix(sign) {
            return Some((Token::How(how), left));
        }
    }
    let ends = |c: char| c.is_whitespace() || "()\"=!<>~".contains(c);
    let (word, left) = text.split_at(text.find(ends).unwrap_or(text.len()));
    // A `!` that stands alone is nothing.
    if word.is_empty() { None } else { Some((Token::Word(word.to_owned()), left)) }
}

fn quoted(text: &str) -> Option<(Token, &str)> {
    let mut words = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((Token::Text(words), chars.as_str())),
            '\\' => words.push(chars.next()?),
            other => words.push(other),
        }
    }
}

struct Reader<'a> {
    tokens: Peekable<IntoIter<Token>>,
    fields: &'a [&'a str],
    depth: usize,
}

impl Reader<'_> {
    fn any(&mut self) -> Option<Filter> {
        let mut parts = vec![self.all()?];
        while self.next_is("OR") {
            parts.push(self.all()?);
        }
        Some(Filter::Any(parts))
    }

    fn all(&mut self) -> Option<Filter> {
        let mut parts = vec![self.one()?];
        while self.next_is("AND") {
            parts.push(self.one()?);
        }
        Some(Filter::All(parts))
    }

    fn one(&mut self) -> Option<Filter> {
        match self.tokens.next()? {
            Token::Open if self.depth < MAX_DEPTH => {
                self.depth += 1;
                let inner = self.any()?;
                self.depth -= 1;
                (self.tokens.next()? == Token::Close).then_some(inner)
            }
            Token::Word(field) if self.fields.contains(&field.as_str()) => {
                let Token::How(how) = self.tokens.next()? else { return None };
                let (Token::Text(value) | Token::Word(value)) = self.tokens.next()? else { return None };
                Some(Filter::One(Comparison { field, how, value }))
            }
            _ => None,
        }
    }

    fn next_is(&mut self, word: &str) -> bool {
        let fits = |token: &Token| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word));
        self.tokens.next_if(fits).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(query: &str) -> bool {
        let value_of = |field: &str| match field {
            "state" => "OPEN".to_owned(),
            "id" => "12".to_owned(),
            "updated_on" => "2026-11-23T10:00:00Z".to_owned(),
            _ => "a \"quoted\" name".to_owned(),
        };
        Filter::parse(query, &["state", "id", "updated_on", "name"]).unwrap().fits(&value_of)
    }

    #[test]
    fn conditions_are_joined_and_bracketed() {
        for holds in [
            r#"state="OPEN""#,
            r#"name = "a \"quoted\" name" AND state = "OPEN""#,
            r#"state="MERGED" OR state="OPEN" and id=12"#,
            r#"(state="MERGED" OR state="OPEN") AND id>9"#,
            r#"name ~ "QUOTED" AND state != "MERGED" AND name !~ "x""#,
            r#"updated_on > 2026-11-22T00:00:00Z AND updated_on <= "2026-11-23T11:00:00+01:00""#,
            "id >= 12 AND id < 13",
        ] {
            assert!(fits(holds), "{holds}");
        }
        for fails in [r#"state="MERGED""#, r#"state="OPEN" AND id=1"#, r#"(id=1 OR id=2) AND state="OPEN""#] {
            assert!(!fits(fails), "{fails}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        let deep = format!("{}id=1{}", "(".repeat(50), ")".repeat(50));
        for bad in
            ["", "state", "state=", "mood=1", "state=\"OPEN", "(id=1", "id=1)", "id=1 id=2", "id ! 1", deep.as_str()]
        {
            assert!(Filter::parse(bad, &["state", "id"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filter_knows_what_it_speaks_of() {
        let filter = Filter::parse("(id=1 OR id=2)", &["state", "id"]).unwrap();
        assert!(filter.mentions("id") && !filter.mentions("state"));
    }
}
