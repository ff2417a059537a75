//! Invisible markers by which Pullyard recognizes its own texts at a forge.
//! A marker is an HTML comment, or an unused link definition on Bitbucket, which displays HTML comments. Anyone can
//! copy a marker: it prevents duplicate posts and hides our own texts from reviews, but grants no permission.

use crate::id::JobId;
use crate::project::ForgeKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MarkerSyntax {
    pub(crate) start: &'static str,
    pub(crate) end: &'static str,
}

impl MarkerSyntax {
    pub(crate) const ALL: [Self; 2] = [HTML_COMMENT, LINK_DEFINITION];

    /// The form that this kind of forge does not display.
    pub(crate) fn for_forge(kind: ForgeKind) -> Self {
        match kind {
            ForgeKind::GitHub => HTML_COMMENT,
            ForgeKind::Bitbucket => LINK_DEFINITION,
        }
    }
}

const HTML_COMMENT: MarkerSyntax = MarkerSyntax { start: "<!-- pullyard:", end: " -->" };
const LINK_DEFINITION: MarkerSyntax = MarkerSyntax { start: "[//]: # (pullyard:", end: ")" };
const STATUS: &str = "status";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    Status,
    Job(JobId),
}

impl Marker {
    /// Appends the marker to the text, in the form that this kind of forge hides.
    pub fn append_to(&self, kind: ForgeKind, text: &str) -> String {
        // Markdown recognizes a definition only after an empty line.
        format!("{}\n\n{}", text.trim_end(), self.render(MarkerSyntax::for_forge(kind)))
    }

    fn render(&self, MarkerSyntax { start, end }: MarkerSyntax) -> String {
        match self {
            Self::Status => format!("{start}{STATUS}{end}"),
            Self::Job(job) => format!("{start}{job}{end}"),
        }
    }

    /// Parses the marker at the end of a text. Earlier markers may belong to a quotation.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let find_name =
            |MarkerSyntax { start, end }: MarkerSyntax| text.strip_suffix(end.trim_start())?.rsplit_once(start);
        let (_, name) = MarkerSyntax::ALL.into_iter().find_map(find_name)?;
        match name.trim() {
            STATUS => Some(Self::Status),
            name => JobId::new(name).ok().map(Self::Job),
        }
    }

    pub fn is_present(text: &str) -> bool {
        Self::parse(text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::job_id;

    #[test]
    fn marker_is_found_with_any_line_ending() {
        for marker in [Marker::Status, Marker::Job(job_id("j"))] {
            for kind in [ForgeKind::GitHub, ForgeKind::Bitbucket] {
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
