//! Normalizes recordings: ids, times, and values of this machine. The rest of a line keeps its text and field order.

use crate::real_agents::fixture::AgentFixture;
use std::collections::VecDeque;

const ID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
/// Patterns of values that change each time, and their replacements. `#` is a digit, `x` a hexadecimal digit.
const PATTERNS: [(&str, &str); 6] = [
    ("####-##-##T##:##:##.###Z", "2026-01-01T00:00:00.000Z"),
    // In the names of a file and its folder.
    ("####-##-##T##-##-##", "2026-01-01T00-00-00"),
    ("/####/##/##/", "/2026/01/01/"),
    ("Chunk ID: xxxxxx", "Chunk ID: 000000"),
    ("Wall time: #.#### seconds", "Wall time: 0.0000 seconds"),
    // Claude Code's estimate of a conversation, which contains the machine's folder names.
    ("is only ~#### tokens", "is only ~2664 tokens"),
];
const MACHINE_FIELDS: [&str; 3] = ["messaging_socket_path", "processId", "userAgent"];

pub(crate) struct Normalizer {
    replacements: Vec<(String, String)>,
    own_ids: Vec<String>,
    names: VecDeque<String>,
    renamed_ids: Vec<(String, String)>,
}

impl Normalizer {
    /// `known_ids` are ids that the test chose. The next ids get the names in `names`, the rest are numbered.
    pub(crate) fn new(scene: &AgentFixture, known_ids: &[&str], names: &[&str]) -> Self {
        let dir = scene.dir.path().to_str().unwrap();
        let dashed = dir.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let replaced = vec![
            (format!("{dir}/repository"), "/workspace".into()),
            (dir.to_owned(), "/home/agent".into()),
            (format!("{dashed}-repository"), "-workspace".into()),
            (dashed, "-home-agent".into()),
        ];
        let owned = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<String>>();
        let normalizer = Self {
            replacements: replaced,
            own_ids: owned(known_ids),
            names: owned(names).into(),
            renamed_ids: Vec::new(),
        };
        normalizer.with_server(&scene.model.url())
    }

    /// Replaces a variable address, such as `http://127.0.0.1:4010`.
    pub(crate) fn with_server(mut self, url: &str) -> Self {
        let host = url.trim_start_matches("http://").to_owned();
        self.replacements.push((host, "127.0.0.1:8080".into()));
        self
    }

    pub(crate) fn lines(&mut self, lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| self.line(line)).collect()
    }

    fn line(&mut self, line: &str) -> String {
        let mut text = line.to_owned();
        for (is, becomes) in &self.replacements {
            text = text.replace(is, becomes);
        }
        text = normalize_fields(&text);
        for (shape, becomes) in PATTERNS {
            text = replace_pattern(&text, shape, |_| becomes.to_owned());
        }
        replace_pattern(&text, ID, |id| self.id(id))
    }

    fn id(&mut self, id: &str) -> String {
        if self.own_ids.iter().any(|own_id| own_id == id) {
            return id.to_owned();
        }
        if let Some((_, name)) = self.renamed_ids.iter().find(|(known, _)| known == id) {
            return name.clone();
        }
        let number = self.renamed_ids.len() + 1;
        let name = self.names.pop_front().unwrap_or_else(|| format!("00000000-0000-4000-8000-{number:012}"));
        self.renamed_ids.push((id.to_owned(), name.clone()));
        name
    }
}

/// Replaces times, durations and names of processes, by the names of their fields.
fn normalize_fields(line: &str) -> String {
    let (mut written, mut field, mut rest) = (String::with_capacity(line.len()), "", line);
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => string_end(rest),
            '-' | '0'..='9' => rest.find(|c: char| !c.is_ascii_digit() && !"+-.eE".contains(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (value, after) = rest.split_at(end);
        if first != '"' {
            let number = first == '-' || first.is_ascii_digit();
            written.push_str(if number { fixed_number(field).unwrap_or(value) } else { value });
        } else if after.starts_with(':') {
            field = value.trim_matches('"');
            written.push_str(value);
        } else {
            written.push_str(if MACHINE_FIELDS.contains(&field) { "\"-\"" } else { value });
        }
        rest = after;
    }
    written
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

fn fixed_number(field: &str) -> Option<&'static str> {
    if field.ends_with("AtMs") {
        Some("1767225600000")
    } else if field.ends_with("At") || field.ends_with("_at") || field == "create_time" {
        Some("1767225600")
    } else if field.ends_with("Ms") || field.ends_with("_ms") {
        // About the pause of Claude Code before its first retry.
        Some("600")
    } else {
        None
    }
}

fn replace_pattern(text: &str, shape: &str, mut becomes: impl FnMut(&str) -> String) -> String {
    let (mut written, mut from, mut at) = (String::with_capacity(text.len()), 0, 0);
    while at + shape.len() <= text.len() {
        let place = &text.as_bytes()[at..at + shape.len()];
        let fits = place.iter().zip(shape.bytes()).all(|(byte, kind)| match kind {
            b'#' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            other => *byte == other,
        });
        if fits {
            // A match is ASCII, so both its ends are character boundaries.
            written.push_str(&text[from..at]);
            written.push_str(&becomes(&text[at..at + shape.len()]));
            at += shape.len();
            from = at;
        } else {
            at += 1;
        }
    }
    written.push_str(&text[from..]);
    written
}
