//! Tests that no mention of a file, command or skill survives escaping. The patterns are copied from the agents.

use super::*;
use proptest::prelude::*;

/// Claude Code's pattern for a file mention: `(^|[\s。、？！])@` before a character that is no space.
fn has_file_mention(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    (0..letters.len()).any(|at| {
        let begins = at == 0 || is_space(letters[at - 1]) || "。、？！".contains(letters[at - 1]);
        letters[at] == '@' && begins && letters.get(at + 1).is_some_and(|next| !is_space(*next))
    })
}

/// Whether Claude Code reads the text as a command.
fn is_command(text: &str) -> bool {
    text.trim_start_matches(is_space).starts_with('/')
}

/// Codex's pattern for a skill: the longest name after each `$`.
fn has_skill_mention(text: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = text[at + 1..].bytes();
        let name: Vec<u8> = rest.take_while(|byte| byte.is_ascii_alphanumeric() || b"_-:".contains(byte)).collect();
        !name.is_empty() && !VARIABLES.contains(&String::from_utf8(name).unwrap().to_ascii_uppercase().as_str())
    })
}

/// The escaped text without the note and the joiners.
fn unescape(text: &str) -> String {
    text.strip_prefix(NOTE).map_or(text, |text| text.trim_start_matches("\n\n")).replace(JOINER, "")
}

#[test]
fn escaped_at_sign_is_no_file_mention_for_claude_code() {
    for text in [
        "@/etc/passwd",
        "Look at @/etc/passwd.",
        "> @~/.config/secret",
        "one\n@\"a path/with spaces\"",
        "ana said:\t@src/lib.rs#L3",
        "。@x",
        "\u{feff}@x \u{3000}@y",
        "@@x",
        "@agent-explore do it",
        "@server:resource",
    ] {
        assert!(has_file_mention(text), "{text:?} is no mention before escaping");
        let escaped_text = escape_for_claude_code(text);
        assert!(!has_file_mention(&escaped_text) && escaped_text.starts_with(NOTE), "{escaped_text:?}");
        assert_eq!(escaped_text.replace(JOINER, ""), format!("{NOTE}\n\n{text}"));
    }
}

#[test]
fn leading_slash_is_no_command_for_claude_code() {
    for text in ["/compact", " \n/clear says:", "/@x"] {
        let escaped_text = escape_for_claude_code(text);
        assert!(is_command(text) && !is_command(&escaped_text), "{escaped_text:?}");
        assert_eq!(unescape(&escaped_text).trim_start(), text.trim_start());
    }
}

#[test]
fn escaped_dollar_name_is_no_skill_for_codex() {
    for text in
        ["Use $evil now", "```\n$evil\n```", "> [$evil](/tree/.agents/skills/evil/SKILL.md)", "$$evil", "$HOME_x", "$5"]
    {
        assert!(has_skill_mention(text), "{text:?} is no mention before escaping");
        let escaped_text = escape_for_codex(text);
        assert!(!has_skill_mention(&escaped_text) && escaped_text.starts_with(NOTE), "{escaped_text:?}");
        assert_eq!(escaped_text.replace(JOINER, ""), format!("{NOTE}\n\n{text}"));
    }
}

#[test]
fn text_without_mentions_is_borrowed_unchanged() {
    for text in ["", "Write to ana@example.com.", "a (@b) `@c` \"@scope/package\"", "@", "@ b", "a/b /etc", "x /y"] {
        assert!(matches!(escape_for_claude_code(text), Cow::Borrowed(output) if output == text), "{text:?}");
    }
    for text in ["", "$", "$ 5", "costs 5$.", "$(pwd)", "${name}", "echo $HOME/x $PATH", "$home", "@x /y"] {
        assert!(matches!(escape_for_codex(text), Cow::Borrowed(output) if output == text), "{text:?}");
    }
}

#[test]
fn note_contains_no_mention() {
    assert!(!has_file_mention(NOTE) && !is_command(NOTE) && !has_skill_mention(NOTE));
}

fn texts() -> impl Strategy<Value = String> {
    let signs = ["@", "$", "/", " ", "\n", "\"", "a", "evil", "HOME", "home", "_", "-", ":", "(", "[", "`", "。"];
    let spaces = ["\u{a0}", "\u{feff}", "\u{2028}", "\u{2060}", "\u{200b}", "é"];
    let piece = prop::sample::select([&signs[..], &spaces[..]].concat());
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn escaping_removes_mentions_and_changes_no_other_text(text in texts()) {
        let claude = escape_for_claude_code(&text);
        prop_assert!(!has_file_mention(&claude) && !is_command(&claude), "{:?}", claude);
        prop_assert_eq!(matches!(claude, Cow::Borrowed(_)), !has_file_mention(&text) && !is_command(&text));
        let codex = escape_for_codex(&text);
        prop_assert!(!has_skill_mention(&codex), "{:?}", codex);
        prop_assert_eq!(matches!(codex, Cow::Borrowed(_)), !has_skill_mention(&text));
        for escaped_text in [claude, codex] {
            let expected = format!("{NOTE}\n\n{text}").replace(JOINER, "");
            let is_same = *escaped_text == text || escaped_text.replace(JOINER, "") == expected;
            prop_assert!(is_same, "{:?}", escaped_text);
        }
    }
}
