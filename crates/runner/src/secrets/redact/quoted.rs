//! How programs quote a text where not every character can stand: in JSON, in HTML and for a shell. Each language
//! writes out other characters, and in another way.

use super::hex::Hex;
use std::fmt::Write;

pub(super) fn all(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for style in &JSON {
        all.extend([Hex::Upper, Hex::Lower].map(|hex| json(text, style, hex)));
    }
    all.extend(HTML.iter().map(|style| replaced(text, &[MARKUP, *style])));
    all.extend(SHELL.iter().map(|style| replaced(text, &[*style])));
    all
}

/// How a language quotes a text in JSON, beside what all of them write out.
struct Json {
    slash: &'static str,
    by_number: &'static str,
    /// It writes everything else that is not ASCII by its number as well.
    only_ascii: bool,
}

const JSON: [Json; 8] = [
    // Rust and JavaScript; Python.
    Json { slash: "/", by_number: "", only_ascii: false },
    Json { slash: "/", by_number: "", only_ascii: true },
    // PHP, and as it is told to.
    Json { slash: "\\/", by_number: "", only_ascii: true },
    Json { slash: "\\/", by_number: "", only_ascii: false },
    Json { slash: "\\/", by_number: "<>&'\"", only_ascii: true },
    // Go and Rails; Gson.
    Json { slash: "/", by_number: "<>&", only_ascii: false },
    Json { slash: "/", by_number: "<>&'=", only_ascii: false },
    // .NET.
    Json { slash: "/", by_number: "<>&'+\"`", only_ascii: true },
];

fn json(text: &str, style: &Json, hex: Hex) -> String {
    let mut quoted = String::with_capacity(text.len());
    for letter in text.chars() {
        let short = match letter {
            '\\' => "\\\\",
            '/' => style.slash,
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '"' if !style.by_number.contains('"') => "\\\"",
            _ => "",
        };
        let by_number = letter < ' ' || style.by_number.contains(letter) || (style.only_ascii && !letter.is_ascii());
        if !short.is_empty() {
            quoted.push_str(short);
        } else if by_number {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                let written = match hex {
                    Hex::Upper => write!(quoted, "\\u{unit:04X}"),
                    Hex::Lower => write!(quoted, "\\u{unit:04x}"),
                };
                debug_assert!(written.is_ok(), "a string takes everything");
            }
        } else {
            quoted.push(letter);
        }
    }
    quoted
}

/// Characters, and what is written in their place.
type Instead = &'static [(char, &'static str)];

/// What everybody writes out in HTML.
const MARKUP: Instead = &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];

const HTML: [Instead; 10] = [
    // In a text of XML, and in what stands between quotes there.
    &[],
    &[('"', "&quot;")],
    &[('"', "&quot;"), ('\'', "&apos;")],
    // Ruby and JavaScript; Python; PHP; Go and Jinja; Go's templates.
    &[('"', "&quot;"), ('\'', "&#39;")],
    &[('"', "&quot;"), ('\'', "&#x27;")],
    &[('"', "&quot;"), ('\'', "&#039;")],
    &[('"', "&#34;"), ('\'', "&#39;")],
    &[('"', "&#34;"), ('\'', "&#39;"), ('+', "&#43;")],
    // Handlebars; Mustache.
    &[('"', "&quot;"), ('\'', "&#x27;"), ('`', "&#x60;"), ('=', "&#x3D;")],
    &[('"', "&quot;"), ('\'', "&#39;"), ('`', "&#x60;"), ('=', "&#x3D;"), ('/', "&#x2F;")],
];

const SHELL: [Instead; 3] = [
    // Between single quotes, as shells write it, and as Python does.
    &[('\'', r"'\''")],
    &[('\'', r#"'"'"'"#)],
    // Between double ones.
    &[('\\', r"\\"), ('"', r#"\""#), ('$', r"\$"), ('`', r"\`")],
];

fn replaced(text: &str, styles: &[Instead]) -> String {
    let mut quoted = String::with_capacity(text.len());
    for letter in text.chars() {
        let instead = styles.iter().copied().flatten().find(|(of, _)| *of == letter);
        match instead {
            Some((_, written)) => quoted.push_str(written),
            None => quoted.push(letter),
        }
    }
    quoted
}
