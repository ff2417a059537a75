//! Quotes a text as programs in many languages do: in JSON, in HTML and for a shell.

#[derive(Clone, Copy)]
pub(super) enum HexCase {
    Upper,
    Lower,
}

pub(super) fn escape_all(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    for style in &JSON {
        all.extend([HexCase::Upper, HexCase::Lower].map(|hex| escape_json(text, style, hex)));
    }
    all.extend(HTML.iter().map(|style| replace_chars(text, &[MARKUP, *style])));
    all.extend(SHELL.iter().map(|style| replace_chars(text, &[*style])));
    all
}

/// How a language escapes JSON, in addition to the escapes that all languages use.
struct JsonStyle {
    slash: &'static str,
    unicode_escaped: &'static str,
    only_ascii: bool,
}

const JSON: [JsonStyle; 8] = [
    // Rust and JavaScript; Python.
    JsonStyle { slash: "/", unicode_escaped: "", only_ascii: false },
    JsonStyle { slash: "/", unicode_escaped: "", only_ascii: true },
    // PHP by default, and with its options.
    JsonStyle { slash: "\\/", unicode_escaped: "", only_ascii: true },
    JsonStyle { slash: "\\/", unicode_escaped: "", only_ascii: false },
    JsonStyle { slash: "\\/", unicode_escaped: "<>&'\"", only_ascii: true },
    // Go and Rails; Gson.
    JsonStyle { slash: "/", unicode_escaped: "<>&", only_ascii: false },
    JsonStyle { slash: "/", unicode_escaped: "<>&'=", only_ascii: false },
    // .NET.
    JsonStyle { slash: "/", unicode_escaped: "<>&'+\"`", only_ascii: true },
];

fn escape_json(text: &str, style: &JsonStyle, hex: HexCase) -> String {
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
            '"' if !style.unicode_escaped.contains('"') => "\\\"",
            _ => "",
        };
        let by_number =
            letter < ' ' || style.unicode_escaped.contains(letter) || (style.only_ascii && !letter.is_ascii());
        if !short.is_empty() {
            quoted.push_str(short);
        } else if by_number {
            let mut units = [0; 2];
            for unit in letter.encode_utf16(&mut units) {
                quoted.push_str(&match hex {
                    HexCase::Upper => format!("\\u{unit:04X}"),
                    HexCase::Lower => format!("\\u{unit:04x}"),
                });
            }
        } else {
            quoted.push(letter);
        }
    }
    quoted
}

type Replacements = &'static [(char, &'static str)];

const MARKUP: Replacements = &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")];

const HTML: [Replacements; 10] = [
    // XML: text, then attribute values.
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

const SHELL: [Replacements; 3] = [
    // In single quotes: shells, then Python.
    &[('\'', r"'\''")],
    &[('\'', r#"'"'"'"#)],
    &[('\\', r"\\"), ('"', r#"\""#), ('$', r"\$"), ('`', r"\`")],
];

fn replace_chars(text: &str, styles: &[Replacements]) -> String {
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
