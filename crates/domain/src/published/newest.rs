//! Finds and replaces the part of a pull request's text that describes our newest commit.
//!
//! The part is enclosed in two invisible lines. The first contains the commit and a hash of our text, so that text of
//! other users is never replaced. Any editor of the text can copy these lines, so they grant no permission.

use crate::marker::Form;
use crate::project::ForgeKind;
use sha2::{Digest, Sha256};

/// Follows the start of both lines.
const NEWEST: &str = "newest ";
/// Marks the second line.
const END: &str = "end";
/// Length of the hash. Units: bytes.
const HASH: usize = 8;
/// Longest text on GitHub. Units: characters.
const LONGEST: usize = 65_536;

/// Why a text is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    Said,
    /// The text has no such part, or several.
    Absent,
    Changed,
    TooLong,
}

/// Builds the part about a commit. `words` must not contain a line that looks like one of the two lines: it is fenced
/// or written by us.
pub fn part(kind: ForgeKind, commit: &str, words: &str) -> String {
    part_as(Form::of(kind), commit, words)
}

fn part_as(Form { start, end }: Form, commit: &str, words: &str) -> String {
    let (hash, words) = (hash(words), words.trim());
    let between = if words.is_empty() { String::new() } else { format!("\n{words}\n\n") };
    format!("{start}{NEWEST}{commit} {hash}{end}\n{between}{start}{NEWEST}{END}{end}\n")
}

/// Replaces our part about an earlier commit.
pub fn renewed(text: &str, commit: &str, words: &str) -> Result<String, Stays> {
    let found = find(text).ok_or(Stays::Absent)?;
    if found.commit == commit {
        return Err(Stays::Said);
    }
    if found.hash != hash(found.words) {
        return Err(Stays::Changed);
    }
    let whole = format!("{}{}{}", found.before, part_as(found.form, commit, words), found.after);
    if whole.chars().count() > LONGEST { Err(Stays::TooLong) } else { Ok(whole) }
}

struct Found<'a> {
    form: Form,
    before: &'a str,
    commit: &'a str,
    hash: &'a str,
    words: &'a str,
    after: &'a str,
}

/// The only part of a text. `None` if a user copied it.
fn find(text: &str) -> Option<Found<'_>> {
    Form::ALL.into_iter().find_map(|form| find_as(text, form))
}

fn find_as(text: &str, form: Form) -> Option<Found<'_>> {
    let (mut lines, mut at) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        if let Some(rest) = line.strip_prefix(form.start).and_then(|rest| rest.strip_prefix(NEWEST)) {
            lines.push((at, next, rest.trim_end().strip_suffix(form.end.trim_start())?.trim()));
        }
        at = next;
    }
    let [(begins, from, about), (to, ends, END)] = lines[..] else { return None };
    let (commit, hash) = about.split_once(' ')?;
    let (before, words, after) = (text.get(..begins)?, text.get(from..to)?, text.get(ends..)?);
    Some(Found { form, before, commit, hash, words, after })
}

/// Hashes the text with uniform line ends, because forges and browsers change them.
fn hash(words: &str) -> String {
    let digest = Sha256::digest(words.replace("\r\n", "\n").trim().as_bytes());
    digest.iter().take(HASH).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    /// A pull request text with the part of commit `ONE`.
    fn opened(words: &str) -> String {
        format!("Ticket: APP-1\n\n{}", part(ForgeKind::GitHub, ONE, words))
    }

    #[test]
    fn part_is_replaced_and_the_rest_is_unchanged() {
        let before = "A person's: ü\r\n\r\n> <!-- pullyard:newest x y -->\n";
        let after = "\n## Notes\n\nKeep `<!-- pullyard:newest end -->` here.";
        for words in ["", "## Checks\n\n- `npm test` passed in 13 s\n"] {
            let text = format!("{before}{}{after}", part(ForgeKind::GitHub, ONE, words));
            let once = renewed(&text, TWO, "## The newest work\n").unwrap();
            assert_eq!(once, format!("{before}{}{after}", part(ForgeKind::GitHub, TWO, "## The newest work")));
            assert_eq!(renewed(&once, TWO, "other words"), Err(Stays::Said), "a repeat changes nothing");
            assert_eq!(renewed(&once, ONE, words).unwrap(), text);
        }
        let text = renewed(&opened("a"), TWO, "b").unwrap();
        assert!(text.starts_with("Ticket: APP-1\n\n<!-- pullyard:newest 2222"), "{text}");
        assert!(text.ends_with(" -->\n\nb\n\n<!-- pullyard:newest end -->\n"), "{text}");
    }

    #[test]
    fn bitbucket_part_uses_link_definitions() {
        let text = format!("Ticket: APP-1\n\n{}", part(ForgeKind::Bitbucket, ONE, "- `npm test` passed"));
        assert!(text.starts_with("Ticket: APP-1\n\n[//]: # (pullyard:newest 1111") && !text.contains("<!--"), "{text}");
        assert!(text.ends_with(")\n\n- `npm test` passed\n\n[//]: # (pullyard:newest end)\n"), "{text}");
        let next = renewed(&text, TWO, "Next.").unwrap();
        assert_eq!(next, format!("Ticket: APP-1\n\n{}", part(ForgeKind::Bitbucket, TWO, "Next.")));
        assert_eq!(renewed(&next, TWO, "Next."), Err(Stays::Said));
        assert_eq!(renewed(&next.replace("Next.", "Mine."), ONE, "x"), Err(Stays::Changed));
        assert_eq!(renewed(&next.replace("newest end)", "newest end"), ONE, "x"), Err(Stays::Absent));
    }

    #[test]
    fn part_edited_by_a_user_is_not_replaced() {
        let text = opened("- `npm test` passed\n- `npm run lint` passed\n");
        for (from, to) in [
            ("- `npm test` passed", "- `npm test` passed, and I looked at it"),
            ("- `npm test` passed\n", ""),
            ("<!-- pullyard:newest end", "Mine.\n<!-- pullyard:newest end"),
            ("lint", "lint\u{200b}"),
        ] {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            assert_eq!(renewed(&changed, TWO, "new"), Err(Stays::Changed), "{from}");
        }
        // The same for a part that was empty.
        let changed = opened("").replace("<!-- pullyard:newest end", "Mine.\n<!-- pullyard:newest end");
        assert_eq!(renewed(&changed, TWO, "new"), Err(Stays::Changed));
    }

    #[test]
    fn changed_line_endings_are_no_edit() {
        let text = opened("- `npm test` passed\n- `npm run lint` passed\n").replace('\n', "\r\n");
        for text in [text.trim_end(), &text, &text.replace("passed\r\n\r\n<!--", "passed\r\n<!--")] {
            let said = renewed(text, TWO, "new").unwrap();
            assert!(said.starts_with("Ticket: APP-1\r\n\r\n<!-- pullyard:newest 2222"), "{said}");
            assert!(!said.contains("passed"), "{said}");
        }
    }

    #[test]
    fn part_needs_both_marker_lines_exactly_once() {
        let text = opened("old");
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
            assert_eq!(renewed(&odd, TWO, "new"), Err(Stays::Absent), "{odd}");
        }
    }

    #[test]
    fn text_that_would_be_too_long_is_not_changed() {
        let room = LONGEST - opened("").chars().count();
        let text = format!("{}{}", opened(""), "ü".repeat(room));
        assert!(renewed(&text, TWO, "").is_ok());
        assert_eq!(renewed(&text, TWO, "x"), Err(Stays::TooLong));
    }
}
