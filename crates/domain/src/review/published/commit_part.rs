//! Renders and replaces the part of a pull request's text that is about the newest commit of Pullyard.
//! Two invisible marker lines enclose the part. The first marker line contains the commit and a hash of the body, which
//! shows whether a user edited the body. Anyone can copy the marker lines, so they grant no permission.

use crate::project::forge::ForgeKind;
use crate::project::forge::marker_syntax::MarkerSyntax;
use sha2::{Digest, Sha256};

/// Follows [`MarkerSyntax::start`] in both marker lines.
const PART_NAME: &str = "newest ";
/// Identifies the second marker line.
const END_NAME: &str = "end";
const HASH_BYTES: usize = 8;
/// Longest pull request text that GitHub accepts. Units: characters.
const MAX_TEXT_CHARS: usize = 65_536;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceRefusal {
    UpToDate,
    /// The text has no complete part, or several parts.
    Absent,
    EditedByUser,
    TooLong,
}

/// Renders the first part, for a new pull request. `body` has no marker line: callers fence foreign text.
pub fn render_part(kind: ForgeKind, commit: &str, body: &str) -> String {
    render_part_as(kind.spec().marker, commit, body)
}

fn render_part_as(MarkerSyntax { start, end }: MarkerSyntax, commit: &str, body: &str) -> String {
    let (hash, body) = (hash_text(body), body.trim());
    let between = if body.is_empty() { String::new() } else { format!("\n{body}\n\n") };
    format!("{start}{PART_NAME}{commit} {hash}{end}\n{between}{start}{PART_NAME}{END_NAME}{end}\n")
}

/// Replaces the part when a later job updates the pull request. Rules for `body`: see [`render_part`].
pub fn replace_part(text: &str, commit: &str, body: &str) -> Result<String, ReplaceRefusal> {
    let part = find_part(text).ok_or(ReplaceRefusal::Absent)?;
    // Checked before the hash: a retry after a lost answer must not report a user's later edit as `EditedByUser`.
    if part.commit == commit {
        return Err(ReplaceRefusal::UpToDate);
    }
    if part.hash != hash_text(part.body) {
        return Err(ReplaceRefusal::EditedByUser);
    }
    let new_text = format!("{}{}{}", part.before, render_part_as(part.syntax, commit, body), part.after);
    if new_text.chars().count() > MAX_TEXT_CHARS { Err(ReplaceRefusal::TooLong) } else { Ok(new_text) }
}

struct ParsedPart<'a> {
    syntax: MarkerSyntax,
    before: &'a str,
    commit: &'a str,
    hash: &'a str,
    body: &'a str,
    after: &'a str,
}

/// Finds the part. Returns `None` if the text has several, because a user may have copied one.
fn find_part(text: &str) -> Option<ParsedPart<'_>> {
    MarkerSyntax::ALL.into_iter().find_map(|syntax| find_part_as(text, syntax))
}

fn find_part_as(text: &str, syntax: MarkerSyntax) -> Option<ParsedPart<'_>> {
    let (mut marker_lines, mut line_start) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let line_end = line_start + line.len();
        if let Some(rest) = line.strip_prefix(syntax.start).and_then(|rest| rest.strip_prefix(PART_NAME)) {
            let content = rest.trim_end().strip_suffix(syntax.end.trim_start())?.trim();
            marker_lines.push((line_start, line_end, content));
        }
        line_start = line_end;
    }
    let [(part_start, body_start, content), (body_end, part_end, END_NAME)] = marker_lines[..] else { return None };
    let (commit, hash) = content.split_once(' ')?;
    let (before, body, after) = (text.get(..part_start)?, text.get(body_start..body_end)?, text.get(part_end..)?);
    Some(ParsedPart { syntax, before, commit, hash, body, after })
}

/// Whether a marker line with this name is the first or the last line of a part.
pub(crate) fn is_marker_name(name: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.strip_prefix(PART_NAME).is_some_and(|rest| match rest.split_once(' ') {
        Some((commit, hash)) => {
            matches!(commit.len(), 40 | 64) && hash.len() == 2 * HASH_BYTES && is_hex(commit) && is_hex(hash)
        }
        None => rest == END_NAME,
    })
}

/// Hashes the text without outer whitespace and with uniform line ends, because forges and browsers change both.
fn hash_text(text: &str) -> String {
    let digest = Sha256::digest(text.replace("\r\n", "\n").trim());
    data_encoding::HEXLOWER.encode(&digest[..HASH_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    /// A pull request text with the part of commit `ONE`.
    fn text_with_part(body: &str) -> String {
        format!("Ticket: APP-1\n\n{}", render_part(ForgeKind::GitHub, ONE, body))
    }

    #[test]
    fn part_is_replaced_and_the_rest_is_unchanged() {
        let before = "A person's: ü\r\n\r\n> <!-- pullyard:newest x y -->\n";
        let after = "\n## Notes\n\nKeep `<!-- pullyard:newest end -->` here.";
        for body in ["", "## Checks\n\n- `npm test` passed in 13 s\n"] {
            let text = format!("{before}{}{after}", render_part(ForgeKind::GitHub, ONE, body));
            let once = replace_part(&text, TWO, "## The newest work\n").unwrap();
            assert_eq!(once, format!("{before}{}{after}", render_part(ForgeKind::GitHub, TWO, "## The newest work")));
            assert_eq!(
                replace_part(&once, TWO, "other words"),
                Err(ReplaceRefusal::UpToDate),
                "a repeat changes nothing"
            );
            assert_eq!(replace_part(&once, ONE, body).unwrap(), text);
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
        assert_eq!(replace_part(&next, TWO, "Next."), Err(ReplaceRefusal::UpToDate));
        assert_eq!(replace_part(&next.replace("Next.", "Mine."), ONE, "x"), Err(ReplaceRefusal::EditedByUser));
        assert_eq!(replace_part(&next.replace("newest end)", "newest end"), ONE, "x"), Err(ReplaceRefusal::Absent));
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
            assert_eq!(replace_part(&changed, TWO, "new"), Err(ReplaceRefusal::EditedByUser), "{from}");
        }
        // The same for a part that was empty.
        let changed = text_with_part("").replace("<!-- pullyard:newest end", "Mine.\n<!-- pullyard:newest end");
        assert_eq!(replace_part(&changed, TWO, "new"), Err(ReplaceRefusal::EditedByUser));
    }

    #[test]
    fn changed_line_endings_are_no_edit() {
        let text = text_with_part("- `npm test` passed\n- `npm run lint` passed\n").replace('\n', "\r\n");
        for text in [text.trim_end(), &text, &text.replace("passed\r\n\r\n<!--", "passed\r\n<!--")] {
            let new_text = replace_part(text, TWO, "new").unwrap();
            assert!(new_text.starts_with("Ticket: APP-1\r\n\r\n<!-- pullyard:newest 2222"), "{new_text}");
            assert!(!new_text.contains("passed"), "{new_text}");
        }
    }

    #[test]
    fn part_needs_both_marker_lines_exactly_once() {
        let text = text_with_part("old");
        let line =
            |n: usize| text.lines().filter(|line| line.starts_with("<!-- pullyard:newest ")).nth(n).unwrap().to_owned();
        for invalid in [
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
            assert_eq!(replace_part(&invalid, TWO, "new"), Err(ReplaceRefusal::Absent), "{invalid}");
        }
    }

    #[test]
    fn text_that_would_be_too_long_is_not_changed() {
        let room = MAX_TEXT_CHARS - text_with_part("").chars().count();
        let text = format!("{}{}", text_with_part(""), "ü".repeat(room));
        assert!(replace_part(&text, TWO, "").is_ok());
        assert_eq!(replace_part(&text, TWO, "x"), Err(ReplaceRefusal::TooLong));
    }
}
