//! Invisible markers by which Pullyard recognizes its own texts at a forge.
//! A marker is an HTML comment, or an unused link definition on Bitbucket, which displays HTML comments. Anyone can
//! copy a marker: it prevents duplicate posts and hides our own texts from reviews, but grants no permission.

use super::commit_part;
use crate::project::forge::ForgeKind;
use crate::project::forge::marker_syntax::{HTML_COMMENT, MarkerSyntax};
use crate::review::report::finding_marker::FindingMarker;
use crate::review::report::review_output::ThreadState;
use crate::text::id::{JobId, ProjectId};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

const STATUS: &str = "status";
const REPLY: &str = "reply/";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    Status,
    /// The answer of a project to a comment. See `Marker::new_reply`.
    Reply(ReplyHash),
    Job(JobId),
    /// At the end of a comment about one finding of a review.
    Finding(FindingMarker),
    /// At the end of the reply that ends the thread of a finding.
    Verdict(JobId, ThreadState),
}

/// The first digits of a hash of project and comment: a public text must not name a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyHash(String);

const REPLY_DIGITS: usize = 16;

impl Marker {
    pub fn new_reply(comment: u64, project: &ProjectId) -> Self {
        let mut hash = HEXLOWER.encode(&Sha256::digest(format!("{project}\n{comment}")));
        hash.truncate(REPLY_DIGITS);
        Self::Reply(ReplyHash(hash))
    }

    /// Appends the marker to the text, in the form that this kind of forge hides.
    pub fn append_to(&self, kind: ForgeKind, text: &str) -> String {
        // Markdown recognizes a definition only after an empty line.
        format!("{}\n\n{}", text.trim_end(), self.render(kind.spec().marker))
    }

    fn render(&self, MarkerSyntax { start, end }: MarkerSyntax) -> String {
        match self {
            Self::Status => format!("{start}{STATUS}{end}"),
            Self::Reply(ReplyHash(hash)) => format!("{start}{REPLY}{hash}{end}"),
            Self::Job(job) => format!("{start}{job}{end}"),
            Self::Finding(finding) => format!("{start}{finding}{end}"),
            Self::Verdict(job, verdict) => format!("{start}{job}/{}{end}", verdict.as_str()),
        }
    }

    /// Parses the marker at the end of a text. Earlier markers may belong to a quotation.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let find_name =
            |MarkerSyntax { start, end }: MarkerSyntax| text.strip_suffix(end.trim_start())?.rsplit_once(start);
        let (_, name) = MarkerSyntax::ALL.into_iter().find_map(find_name)?;
        Self::parse_name(name.trim())
    }

    fn parse_name(name: &str) -> Option<Self> {
        let job = || JobId::new(name).ok().map(Self::Job);
        if let Some(reply) = name.strip_prefix(REPLY) {
            // An older version wrote `COMMENT/PROJECT`.
            if let Some((comment, project)) = reply.split_once('/') {
                return Some(Self::new_reply(comment.parse().ok()?, &ProjectId::new(project).ok()?));
            }
            let is_hash = reply.len() == REPLY_DIGITS && HEXLOWER.decode(reply.as_bytes()).is_ok();
            return is_hash.then(|| Self::Reply(ReplyHash(reply.to_owned())));
        }
        match name {
            STATUS => Some(Self::Status),
            name => {
                job().or_else(|| FindingMarker::parse(name).map(Self::Finding)).or_else(|| Self::parse_verdict(name))
            }
        }
    }

    fn parse_verdict(name: &str) -> Option<Self> {
        let (job, verdict) = name.split_once('/')?;
        let verdict = ThreadState::ALL.into_iter().find(|known| known.as_str() == verdict)?;
        Some(Self::Verdict(JobId::new(job).ok()?, verdict))
    }

    pub fn is_present(text: &str) -> bool {
        Self::parse(text).is_some()
    }
}

/// Whether the line is exactly a marker as an HTML comment. A longer comment could hide a message to agents.
pub fn is_marker_line(line: &str) -> bool {
    let MarkerSyntax { start, end } = HTML_COMMENT;
    let name = line.trim().strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
    name.is_some_and(|name| Marker::parse_name(name).is_some() || commit_part::is_marker_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::job_id;

    fn finding() -> Marker {
        Marker::parse_name(&format!("{}/00112233aabbccdd/high", job_id("j"))).unwrap()
    }

    fn reply(comment: u64) -> Marker {
        Marker::new_reply(comment, &ProjectId::new("acme").unwrap())
    }

    #[test]
    fn reply_names_no_project_and_its_old_form_is_known() {
        let text = reply(7).append_to(ForgeKind::GitHub, "Done.");
        assert!(!text.contains("acme"), "{text}");
        assert_eq!(Marker::parse("Done.\n\n<!-- pullyard:reply/7/acme -->"), Some(reply(7)));
        assert_ne!(reply(7), reply(8));
        assert_eq!(Marker::parse("<!-- pullyard:reply/obey -->"), None);
    }

    #[test]
    fn marker_is_found_with_any_line_ending() {
        let verdict = Marker::Verdict(job_id("j"), ThreadState::Fixed);
        for marker in [Marker::Status, reply(u64::MAX), Marker::Job(job_id("j")), finding(), verdict] {
            for kind in ForgeKind::ALL {
                let text = marker.append_to(kind, "Done.\n");
                assert_eq!(Marker::parse(&text), Some(marker.clone()), "{text}");
                assert_eq!(Marker::parse(&text.replace('\n', "\r\n")), Some(marker.clone()));
                assert_eq!(Marker::parse(&format!("{text}\r\n\n")), Some(marker.clone()));
            }
            assert_eq!(Marker::parse(&marker.render(HTML_COMMENT)), Some(marker));
        }
    }

    #[test]
    fn marker_on_bitbucket_is_an_unused_link_definition() {
        assert_eq!(Marker::Status.append_to(ForgeKind::GitHub, "Done."), "Done.\n\n<!-- pullyard:status -->");
        let text = Marker::Status.append_to(ForgeKind::Bitbucket, "Done.");
        assert_eq!(text, "Done.\n\n[//]: # (pullyard:status)");
    }

    #[test]
    fn marker_line_has_no_room_for_a_message() {
        let part = commit_part::render_part(ForgeKind::GitHub, &"0a".repeat(20), "Done.");
        let own =
            [Marker::Status, reply(7), Marker::Job(job_id("j")), finding()].map(|marker| marker.render(HTML_COMMENT));
        for line in own.iter().map(String::as_str).chain(part.lines()).filter(|line| line.starts_with('<')) {
            assert!(is_marker_line(line), "{line}");
        }
        let commit = "0a".repeat(20);
        for name in ["obey", "newest obey", "end", "6f626579", &format!("newest {commit} 6f626579"), &commit] {
            assert!(!is_marker_line(&format!("<!-- pullyard:{name} -->")), "{name}");
        }
        assert!(!is_marker_line("<!-- obey --> <!-- pullyard:status -->"));
    }

    #[test]
    fn only_a_marker_at_the_end_counts() {
        let (one, two) = (Marker::Job(job_id("j")), Marker::Job(job_id("k")));
        assert_eq!(
            Marker::parse(&two.append_to(ForgeKind::GitHub, &one.append_to(ForgeKind::GitHub, "Done."))),
            Some(two)
        );
        for not_ours in [
            "",
            "Done.",
            "-->",
            "<!-- pullyard: -->",
            "<!-- pullyard:job_short -->",
            &finding().render(HTML_COMMENT).replace("high", "fatal"),
            &finding().render(HTML_COMMENT).replace("aabb", "AABB"),
            &finding().render(HTML_COMMENT).replace("aabb", "aab"),
            "<!-- pullyard:status",
            "<!-- other:status -->",
            "[//]: # (pullyard:)",
            "[//]: # (pullyard:status",
            "[//]: # (other:status)",
            "(pullyard:status)",
            "[//]: # (pullyard:status) (I disagree)",
        ] {
            assert_eq!(Marker::parse(not_ours), None, "{not_ours}");
        }
        assert!(Marker::is_present(&one.append_to(ForgeKind::GitHub, "Done.")));
        assert!(!Marker::is_present(&format!("{}\n\nI disagree.", one.append_to(ForgeKind::GitHub, "> Done."))));
    }
}
