//! The part of Linear's schema that the client uses; `.ci/trackers` compares it with the published one.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::parser::Parser;

const SCHEMA: &str = include_str!("schema.graphql");

#[derive(Debug, Default)]
pub(super) struct Schema {
    /// Objects and inputs.
    pub(super) types: BTreeMap<String, BTreeMap<String, Member>>,
    pub(super) enums: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) arguments: BTreeMap<String, String>,
    /// Such as `[String!]!`.
    pub(super) of: String,
}

pub(super) fn schema() -> &'static Schema {
    static PARSED: OnceLock<Schema> = OnceLock::new();
    PARSED.get_or_init(|| parse(&mut Parser::new(SCHEMA)).expect("a valid schema"))
}

fn parse(parser: &mut Parser) -> Result<Schema, String> {
    let mut schema = Schema::default();
    while let Some(kind) = parser.next() {
        let name = parser.name()?;
        match kind.as_str() {
            "scalar" => {}
            "enum" => {
                parser.expect("{")?;
                schema.enums.insert(name, parser.until("}", Parser::name)?);
            }
            "type" | "input" => {
                parser.expect("{")?;
                schema.types.insert(name, parser.until("}", member)?.into_iter().collect());
            }
            other => return Err(format!("{other} is unknown")),
        }
    }
    Ok(schema)
}

fn member(parser: &mut Parser) -> Result<(String, Member), String> {
    let name = parser.name()?;
    let argument = |parser: &mut Parser| {
        let name = parser.name()?;
        parser.expect(":")?;
        Ok((name, parser.of()?))
    };
    let arguments = if parser.skip("(") { parser.until(")", argument)? } else { Vec::new() };
    parser.expect(":")?;
    Ok((name, Member { arguments: arguments.into_iter().collect(), of: parser.of()? }))
}
