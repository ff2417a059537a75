//! Decides whether a request may be forwarded, removes options that change its price, and computes its demand.

use super::content::{CALLS_OUT, Content, STORED};
use super::meter::Demand;
use super::{Key, Provider};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Types of tools that run in the agent. Source: Codex 0.169.0; Claude Code 2.1.330 sends its tools without a type.
const OPENAI_TOOLS: [&str; 5] = ["function", "custom", "namespace", "local_shell", "tool_search"];
const ANTHROPIC_TOOLS: [&str; 1] = ["custom"];
/// Options of another price than the list's: processing tiers, a faster mode, and a region.
const PRICED_OPTIONS: [&str; 3] = ["service_tier", "speed", "inference_geo"];
/// Continue or include content that the provider stored.
const STORED_OPTIONS: [&str; 4] = ["previous_response_id", "conversation", "prompt", "container"];
/// The greatest output of any listed model, for requests that state none. Units: tokens.
const GREATEST_OUTPUT: u64 = 128_000;
/// A shorter answer is useless. Units: tokens.
const LEAST_OUTPUT: u64 = 1_024;

/// A request that may be forwarded.
pub(super) struct ModelRequest<'a> {
    provider: Provider,
    fields: Fields<'a>,
    content: Content,
    thinking: u64,
    max_output: Option<u64>,
}

/// The fields of the body in their order. Their text is forwarded as it is.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value).filter(|value| value.get() != "null").copied()
    }
}

#[derive(Default, Deserialize)]
struct Tool<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Thinking {
    budget_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CacheOptions {
    ttl: Option<String>,
}

impl<'a> ModelRequest<'a> {
    /// Errors: a sentence for the agent.
    pub(super) fn parse(provider: Provider, body: &'a [u8]) -> Result<Self, String> {
        const UNREADABLE: &str =
            "Pullyard forwards only requests that it can read: one JSON object with unique fields.";
        let content = Content::parse(body).map_err(|_| UNREADABLE)?;
        let mut fields: Fields<'_> = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
        if let Some(sentence) = content.refusal {
            return Err(sentence.to_owned());
        }
        let is_set = |name: &&str| fields.get(name).is_some_and(|value| value.get() != "[]");
        if STORED_OPTIONS.iter().any(&is_set) {
            return Err(STORED.to_owned());
        }
        if is_set(&"mcp_servers") {
            return Err(CALLS_OUT.to_owned());
        }
        check_tools(provider, &fields)?;
        let max_output = match fields.get(max_output_name(provider)).map(|value| value.get().parse()) {
            None => None,
            Some(Ok(number)) => Some(number),
            Some(Err(_)) => return Err(format!("`{}` must be a whole number.", max_output_name(provider))),
        };
        let thinking = fields.get("thinking").and_then(|value| serde_json::from_str::<Thinking>(value.get()).ok());
        let thinking = thinking.and_then(|thinking| thinking.budget_tokens).unwrap_or_default();
        fields.0.retain(|(name, value)| !changes_price(name, value.get()));
        Ok(Self { provider, fields, content, thinking, max_output })
    }

    pub(super) fn demand(&self, body: &[u8]) -> Demand {
        let (likely_input, most_input) = self.content.input_tokens(body);
        let max_output = self.max_output.unwrap_or(GREATEST_OUTPUT);
        let model = self.fields.get("model").and_then(|value| serde_json::from_str(value.get()).ok());
        Demand {
            model: model.unwrap_or_default(),
            likely_input,
            most_input,
            has_long_cache: self.content.has_long_cache,
            max_output,
            // Anthropic refuses a greatest output below the budget for thinking.
            least_output: self.thinking.saturating_add(LEAST_OUTPUT).min(max_output),
        }
    }

    /// Lowers the greatest output, where the provider accepts a limit.
    pub(super) fn lower_output(&mut self, key: &Key, path: &str, max_output: u64) {
        // ChatGPT's backend and compaction have no such parameter. The meter cuts their answers.
        if self.max_output.is_some() || !(matches!(key, Key::ChatGpt { .. }) || path.ends_with("/compact")) {
            self.max_output = Some(max_output);
        }
    }

    pub(super) fn body(&self) -> Vec<u8> {
        let limit_name = max_output_name(self.provider);
        let limit = self.max_output.map(|limit| limit.to_string());
        let mut body = vec![b'{'];
        let mut write = |name: &str, value: &str| {
            if body.len() > 1 {
                body.push(b',');
            }
            body.extend(format!("{}:", serde_json::Value::from(name)).into_bytes());
            body.extend(value.as_bytes());
        };
        for (name, value) in &self.fields.0 {
            write(name, limit.as_deref().filter(|_| name == limit_name).unwrap_or(value.get()));
        }
        if let Some(limit) = limit.filter(|_| !self.fields.0.iter().any(|(name, _)| name == limit_name)) {
            write(limit_name, &limit);
        }
        body.push(b'}');
        body
    }
}

fn max_output_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Anthropic => "max_tokens",
        Provider::OpenAi => "max_output_tokens",
    }
}

fn changes_price(name: &str, value: &str) -> bool {
    match name {
        // Compaction at the provider is a second request, whose usage is reported apart.
        "context_management" => value.contains("compact"),
        "prompt_cache_options" => {
            let options = serde_json::from_str::<CacheOptions>(value);
            options.map_or(true, |options| options.ttl.is_some_and(|ttl| ttl != "30m"))
        }
        name => PRICED_OPTIONS.contains(&name),
    }
}

/// Checks the tools of the request, and those that Codex adds in its input.
fn check_tools(provider: Provider, fields: &Fields<'_>) -> Result<(), String> {
    check_tool_list(provider, fields.get("tools"))?;
    let input = match provider {
        Provider::Anthropic => None,
        Provider::OpenAi => fields.get("input").filter(|input| input.get().starts_with('[')),
    };
    let items: Vec<Tool<'_>> = input.map_or(Ok(Vec::new()), |input| parse_tools(input))?;
    items.into_iter().try_for_each(|item| check_tool_list(provider, item.tools))
}

/// Errors: a tool has a type that no agent uses. Such a tool may run at the provider.
fn check_tool_list(provider: Provider, tools: Option<&RawValue>) -> Result<(), String> {
    let Some(tools) = tools else { return Ok(()) };
    for tool in parse_tools(tools)? {
        let is_allowed = match (provider, tool.kind.as_deref()) {
            (Provider::Anthropic, None) => true,
            (Provider::Anthropic, Some(kind)) => ANTHROPIC_TOOLS.contains(&kind),
            (Provider::OpenAi, Some(kind)) => OPENAI_TOOLS.contains(&kind),
            (Provider::OpenAi, None) => false,
        };
        if !is_allowed {
            let kind: String = tool.kind.unwrap_or_else(|| "none".into()).chars().take(64).collect();
            return Err(format!(
                "Pullyard forwards only tools that run in the agent; this request has the type {kind:?}."
            ));
        }
        // A namespace contains tools.
        check_tool_list(provider, tool.tools)?;
    }
    Ok(())
}

fn parse_tools(tools: &RawValue) -> Result<Vec<Tool<'_>>, String> {
    serde_json::from_str(tools.get()).map_err(|_| "Pullyard cannot read the tools of this request.".to_owned())
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields(Vec::new());
        while let Some((name, value)) = entries.next_entry::<String, &RawValue>()? {
            if fields.0.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a field occurs twice"));
            }
            fields.0.push((name, value));
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests;
