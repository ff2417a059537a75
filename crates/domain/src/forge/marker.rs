//! Invisible markers by which Pullyard recognizes its own texts at a forge.
//! A marker is an HTML comment, or an unused link definition on Bitbucket, which displays HTML comments. Anyone can
//! copy a marker: it prevents duplicate posts and hides our own texts from reviews, but grants no permission.

use crate::forge::ForgeKind;
use crate::id::{JobId, ProjectId};
use crate::published::commit_part;
use crate::report::finding_marker::FindingMarker;
use crate::report::review_output::ThreadState;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerSyntax {
    pub(crate) start: &'static str,
    pub(crate) end: &'static str,
}

impl MarkerSyntax {
    pub(crate) const ALL: [Self; 2] = [HTML_COMMENT, LINK_DEFINITION];
}

pub(super) const HTML_COMMENT: MarkerSyntax = MarkerSyntax { start: "<!-- pullyard:", end: " -->" };
pub(super) const LINK_DEFINITION: MarkerSyntax = MarkerSyntax { start: "[//]: # (pullyard:", end: ")" };
const STATUS: &str = "status";
const REPLY: &str = "reply/";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    Status,
    /// The answer of a project to the comment with this id.
    Reply(u64, ProjectId),
    Job(JobId),
    /// At the end of a comment about one finding of a review.
    Finding(FindingMarker),
    /// At the end of the reply that ends the thread of a finding.
    Verdict(JobId, ThreadState),
}

impl Marker {
    /// Appends the marker to the text, in the form that this kind of forge hides.
    pub fn append_to(&self, kind: ForgeKind, text: &str) -> String {
        // Markdown recognizes a definition only after an empty line.
        format!("{}\n\n{}", text.trim_end(), self.render(kind.spec().marker))
    }

    fn render(&self, MarkerSyntax { start, end }: MarkerSyntax) -> String {
        match self {
            Self::Status => format!("{start}{STATUS}{end}"),
            Self::Reply(comment, project) => format!("{start}{REPLY}{comment}/{project}{end}"),
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
        if let Some(comment) = name.strip_prefix(REPLY) {
            let (comment, project) = comment.split_once('/')?;
            return Some(Self::Reply(comment.parse().ok()?, ProjectId::new(project).ok()?));
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

    #[test]
    fn marker_is_found_with_any_line_ending() {
        let verdict = Marker::Verdict(job_id("j"), ThreadState::Fixed);
        for marker in [
            Marker::Status,
            Marker::Reply(u64::MAX, ProjectId::new("acme").unwrap()),
            Marker::Job(job_id("j")),
            finding(),
            verdict,
        ] {
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
            [Marker::Status, Marker::Reply(7, ProjectId::new("acme").unwrap()), Marker::Job(job_id("j")), finding()]
                .map(|marker| marker.render(HTML_COMMENT));
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
