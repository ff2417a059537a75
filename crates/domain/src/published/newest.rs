//! Finds and replaces the part of a pull request's text that describes our newest commit.
//!
//! The part is enclosed in two invisible lines. The first contains the commit and a hash of our text, so that text of
//! other users is never replaced. Any editor of the text can copy these lines, so they grant no permission.

use crate::marker::MarkerSyntax;
use crate::project::ForgeKind;
use sha2::{Digest, Sha256};

/// Follows the start of both lines.
const PART_NAME: &str = "newest ";
/// Marks the second line.
const END_NAME: &str = "end";
/// Length of the hash. Units: bytes.
const HASH_BYTES: usize = 8;
/// Longest text on GitHub. Units: characters.
const MAX_TEXT_CHARS: usize = 65_536;

/// Why a text is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReplaced {
    UpToDate,
    /// The text has no such part, or several.
    Absent,
    Edited,
    TooLong,
}

/// Builds the part about a commit. `words` must not contain a line that looks like one of the two lines: it is fenced
/// or written by us.
pub fn render_part(kind: ForgeKind, commit: &str, words: &str) -> String {
    render_part_as(MarkerSyntax::for_forge(kind), commit, words)
}

fn render_part_as(MarkerSyntax { start, end }: MarkerSyntax, commit: &str, words: &str) -> String {
    let (hash, words) = (hash_text(words), words.trim());
    let between = if words.is_empty() { String::new() } else { format!("\n{words}\n\n") };
    format!("{start}{PART_NAME}{commit} {hash}{end}\n{between}{start}{PART_NAME}{END_NAME}{end}\n")
}

/// Replaces our part about an earlier commit.
pub fn replace_part(text: &str, commit: &str, words: &str) -> Result<String, NotReplaced> {
    let found = find_part(text).ok_or(NotReplaced::Absent)?;
    if found.commit == commit {
        return Err(NotReplaced::UpToDate);
    }
    if found.hash != hash_text(found.body) {
        return Err(NotReplaced::Edited);
    }
    let whole = format!("{}{}{}", found.before, render_part_as(found.form, commit, words), found.after);
    if whole.chars().count() > MAX_TEXT_CHARS { Err(NotReplaced::TooLong) } else { Ok(whole) }
}

struct ParsedPart<'a> {
    form: MarkerSyntax,
    before: &'a str,
    commit: &'a str,
    hash: &'a str,
    body: &'a str,
    after: &'a str,
}

/// The only part of a text. `None` if a user copied it.
fn find_part(text: &str) -> Option<ParsedPart<'_>> {
    MarkerSyntax::ALL.into_iter().find_map(|form| find_part_as(text, form))
}

fn find_part_as(text: &str, form: MarkerSyntax) -> Option<ParsedPart<'_>> {
    let (mut lines, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        if let Some(rest) = line.strip_prefix(form.start).and_then(|rest| rest.strip_prefix(PART_NAME)) {
            lines.push((at, next, rest.trim_end().strip_suffix(form.end.trim_start())?.trim()));
        }
        at = next;
    }
    let [(begins, from, about), (to, ends, END_NAME)] = lines[..] else { return None };
    let (commit, hash) = about.split_once(' ')?;
    let (before, words, after) = (text.get(..begins)?, text.get(from..to)?, text.get(ends..)?);
    Some(ParsedPart { form, before, commit, hash, body: words, after })
}

/// Hashes the text with uniform line ends, because forges and browsers change them.
fn hash_text(words: &str) -> String {
    let digest = Sha256::digest(words.replace("\r\n", "\n").trim().as_bytes());
    digest.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    /// A pull request text with the part of commit `ONE`.
    fn text_with_part(words: &str) -> String {
        format!("Ticket: APP-1\n\n{}", render_part(ForgeKind::GitHub, ONE, words))
    }

    #[test]
    fn part_is_replaced_and_the_rest_is_unchanged() {
        let before = "A person's: ü\r\n\r\n> <!-- pullyard:newest x y -->\n";
        let after = "\n## Notes\n\nKeep `<!-- pullyard:newest end -->` here.";
        for words in ["", "## Checks\n\n- `npm test` passed in 13 s\n"] {
            let text = format!("{before}{}{after}", render_part(ForgeKind::GitHub, ONE, words));
            let once = replace_part(&text, TWO, "## The newest work\n").unwrap();
            assert_eq!(once, format!("{before}{}{after}", render_part(ForgeKind::GitHub, TWO, "## The newest work")));
            assert_eq!(replace_part(&once, TWO, "other words"), Err(NotReplaced::UpToDate), "a repeat changes nothing");
            assert_eq!(replace_part(&once, ONE, words).unwrap(), text);
        }
        let text = replace_part(&text_with_part("a"), TWO, "b").unwrap();
        assert!(text.starts_with("Ticket: APP-1\n\n<!-- pullyard:newest 2222"), "{text}");
        assert!(text.ends_with(" -->\n\nb\n\n<!-- pullyard:newest end -->\n"), "{text}");
    }

    #[test]
    fn bitbucket_part_uses_link_definitions() {
        let text = format!("Ticket: APP-1\n\n{}", render_part(ForgeKind::Bitbucket, ONE, "- `npm test` passed"));
        assert!(text.starts_with("Ticket: APP-1\n\n[//]: # (pullyard:newest 1111") && !text.contains("<!--"), "{text}");
        assert!(text.ends_with(")\n\n- `npm test` passed\n\n[//]: # (pullyard:newest end)\n"), "{text}");
        let next = replace_part(&text, TWO, "Next.").unwrap();
        assert_eq!(next, format!("Ticket: APP-1\n\n{}", render_part(ForgeKind::Bitbucket, TWO, "Next.")));
        assert_eq!(replace_part(&next, TWO, "Next."), Err(NotReplaced::UpToDate));
        assert_eq!(replace_part(&next.replace("Next.", "Mine."), ONE, "x"), Err(NotReplaced::Edited));
        assert_eq!(replace_part(&next.replace("newest end)", "newest end"), ONE, "x"), Err(NotReplaced::Absent));
    }

    #[test]
    fn part_edited_by_a_user_is_not_replaced() {
        let text = text_with_part("- `npm test` passed\n- `npm run lint` passed\n");
        for (from, to) in [
            ("- `npm test` passed", "- `npm test` passed, and I looked at it"),
            ("- `npm test` passed\n", ""),
            ("<!-- pullyard:newest end", "Mine.\n<!-- pullyard:newest end"),
            ("lint", "lint\u{200b}"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_eq!(replace_part(&changed, TWO, "new"), Err(NotReplaced::Edited), "{from}");
        }
        // The same for a part that was empty.
        let changed = text_with_part("").replace("<!-- pullyard:newest end", "Mine.\n<!-- pullyard:newest end");
        assert_eq!(replace_part(&changed, TWO, "new"), Err(NotReplaced::Edited));
    }

    #[test]
    fn changed_line_endings_are_no_edit() {
        let text = text_with_part("- `npm test` passed\n- `npm run lint` passed\n").replace('\n', "\r\n");
        for text in [text.trim_end(), &text, &text.replace("passed\r\n\r\n<!--", "passed\r\n<!--")] {
            let said = replace_part(text, TWO, "new").unwrap();
            assert!(said.starts_with("Ticket: APP-1\r\n\r\n<!-- pullyard:newest 2222"), "{said}");
            assert!(!said.contains("passed"), "{said}");
        }
    }

    #[test]
    fn part_needs_both_marker_lines_exactly_once() {
        let text = text_with_part("old");
        let line =
            |n: usize| text.lines().filter(|line| line.starts_with("<!-- pullyard:newest ")).nth(n).unwrap().to_owned();
        for odd in [
            String::new(),
            "Ticket: APP-1\n".into(),
            text.replace(&line(0), ""),
            text.replace(&line(1), ""),
            text.replace(&line(0), &format!(" {}", line(0))),
            text.replace(&line(1), "<!-- pullyard:newest end"),
            text.replace(&line(0), "<!-- pullyard:newest -->"),
            format!("{text}{text}"),
            format!("{text}{}", line(1)),
            format!("{}\n{text}", line(0)),
            format!("{}\nold\n{}", line(1), line(0)),
            text.replace(&line(0), &line(1)),
        ] {
            assert_eq!(replace_part(&odd, TWO, "new"), Err(NotReplaced::Absent), "{odd}");
        }
    }

    #[test]
    fn text_that_would_be_too_long_is_not_changed() {
        let room = MAX_TEXT_CHARS - text_with_part("").chars().count();
        let text = format!("{}{}", text_with_part(""), "ü".repeat(room));
        assert!(replace_part(&text, TWO, "").is_ok());
        assert_eq!(replace_part(&text, TWO, "x"), Err(NotReplaced::TooLong));
    }
}
