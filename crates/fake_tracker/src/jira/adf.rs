//! Checks Atlassian Document Format.

use serde_json::Value;

pub(super) fn check(document: &Value) -> Result<(), String> {
    if document["type"] != "doc" || document["version"] != 1 {
        return Err("the root must be a doc of version 1".to_owned());
    }
    check_names(document, &["type", "version", "content"])?;
    for paragraph in content(document)? {
        if paragraph["type"] != "paragraph" {
            return Err(format!("{} is no paragraph", paragraph["type"]));
        }
        check_names(paragraph, &["type", "content"])?;
        for node in content(paragraph)? {
            check_text(node)?;
        }
    }
    Ok(())
}

fn check_text(node: &Value) -> Result<(), String> {
    check_names(node, &["type", "text", "marks"])?;
    if node["type"] != "text" || node["text"].as_str().is_none_or(str::is_empty) {
        return Err("a text node needs text".to_owned());
    }
    for mark in node["marks"].as_array().into_iter().flatten() {
        check_names(mark, &["type", "attrs"])?;
        let href = mark["attrs"]["href"].as_str().unwrap_or_default();
        if mark["type"] != "link" || !href.starts_with("http") || href.contains(' ') {
            return Err("a mark is invalid".to_owned());
        }
    }
    Ok(())
}

fn content(node: &Value) -> Result<&[Value], String> {
    node["content"].as_array().map(Vec::as_slice).ok_or_else(|| "content is missing".to_owned())
}

fn check_names(node: &Value, known: &[&str]) -> Result<(), String> {
    let object = node.as_object().ok_or("a node must be an object")?;
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{name} is unknown")),
        None => Ok(()),
    }
}
