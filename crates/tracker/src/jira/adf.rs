//! Text from and to Atlassian Document Format, the JSON tree of descriptions and comments.

use pullyard_domain::text::time::Timestamp;
use serde_json::{Value, json};

use crate::client::{cut_body, is_url, optional_list as list};

/// Deeper nodes are skipped; Jira's editor nests far less.
const MAX_DEPTH: usize = 40;

/// Returns Markdown with headings, lists, quotes, code and links. Older issues have plain text.
pub(super) fn to_text(document: &Value) -> String {
    document.as_str().map_or_else(|| blocks(document, "\n\n", 0), |text| text.trim().to_owned())
}

fn blocks(node: &Value, separator: &str, depth: usize) -> String {
    let texts = list(node, "/content").iter().map(|child| block(child, depth + 1)).filter(|text| !text.is_empty());
    texts.collect::<Vec<_>>().join(separator)
}

/// Cuts the text of each level, because each one indents all lines again.
fn block(node: &Value, depth: usize) -> String {
    if depth > MAX_DEPTH { String::new() } else { cut_body(render(node, depth)) }
}

fn render(node: &Value, depth: usize) -> String {
    let attributes = &node["attrs"];
    match node["type"].as_str().unwrap_or_default() {
        "paragraph" | "taskItem" | "decisionItem" => inline(node),
        "heading" => {
            format!("{} {}", "#".repeat(attributes["level"].as_u64().unwrap_or(1).min(6) as usize), inline(node))
        }
        "bulletList" | "decisionList" => items(node, depth, |_, _| "- ".to_owned()),
        "taskList" => {
            items(node, depth, |_, task| format!("- [{}] ", if task["attrs"]["state"] == "DONE" { "x" } else { " " }))
        }
        "orderedList" => items(node, depth, |at, _| format!("{}. ", at + 1)),
        "codeBlock" => {
            let code = inline(node);
            let longest = code.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
            let fence = "`".repeat(longest.max(2) + 1);
            format!("{fence}{}\n{code}\n{fence}", attributes["language"].as_str().unwrap_or_default())
        }
        "blockquote" => format!("> {}", blocks(node, "\n\n", depth).replace('\n', "\n> ")),
        "rule" => "---".to_owned(),
        "table" | "listItem" => blocks(node, "\n", depth),
        "tableRow" => blocks(node, " | ", depth),
        _ if node["content"].is_array() => blocks(node, "\n\n", depth),
        _ => inline_node(node),
    }
}

fn items(node: &Value, depth: usize, mark: impl Fn(usize, &Value) -> String) -> String {
    let item = |(at, child): (usize, &Value)| {
        let (mark, text) = (mark(at, child), block(child, depth + 1));
        format!("{mark}{}", text.replace('\n', &format!("\n{}", " ".repeat(mark.len()))))
    };
    list(node, "/content").iter().enumerate().map(item).collect::<Vec<_>>().join("\n")
}

fn inline(node: &Value) -> String {
    list(node, "/content").iter().map(inline_node).collect::<String>().trim_end().to_owned()
}

fn inline_node(node: &Value) -> String {
    let attribute = |name: &str| node["attrs"][name].as_str();
    let text = node["text"].as_str().unwrap_or_default();
    let mark = |name: &str| list(node, "/marks").iter().find(|mark| mark["type"] == name);
    match node["type"].as_str().unwrap_or_default() {
        "text" => match mark("link").and_then(|link| link["attrs"]["href"].as_str()) {
            Some(href) if href != text => format!("[{text}]({href})"),
            None if mark("code").is_some() => format!("`{text}`"),
            _ => text.to_owned(),
        },
        "hardBreak" => "\n".to_owned(),
        "date" => {
            let millis = attribute("timestamp").and_then(|millis| millis.parse().ok());
            millis.map(|millis| Timestamp::from_millis(millis).day()).unwrap_or_default()
        }
        // Mentions, emojis, statuses, cards and files.
        _ => ["text", "shortName", "url", "alt"].into_iter().find_map(attribute).unwrap_or_default().to_owned(),
    }
}

/// One paragraph for each line. URLs become links, which Jira does not detect by itself.
pub(super) fn from_text(text: &str) -> Value {
    let node = |word: &str| match is_url(word) {
        true => {
            json!({ "type": "text", "text": word, "marks": [{ "type": "link", "attrs": { "href": word.trim_end() } }] })
        }
        false => json!({ "type": "text", "text": word }),
    };
    let paragraph = |line: &str| {
        let words = line.split_inclusive(' ').map(node).collect::<Vec<_>>();
        json!({ "type": "paragraph", "content": words })
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    json!({ "type": "doc", "version": 1, "content": lines.map(paragraph).collect::<Vec<_>>() })
}
