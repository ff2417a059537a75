//! The marks by which we know our own texts at a forge again, which no page shows: HTML comments, or, where a forge
//! shows these as text, as Bitbucket does, link definitions that nothing refers to.
//!
//! Anybody can copy a mark. It keeps us from saying a thing twice, and from taking our own words for a
//! person's; nothing is permitted because of one.

use crate::id::JobId;
use crate::project::ForgeKind;

/// How a mark is written: as an HTML comment, or, where a forge shows these, as a link definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) start: &'static str,
    pub(crate) end: &'static str,
}

impl Form {
    pub(crate) const ALL: [Self; 2] = [COMMENT, DEFINITION];

    /// That which no page of a forge of this kind shows.
    pub(crate) fn of(kind: ForgeKind) -> Self {
        match kind {
            ForgeKind::GitHub => COMMENT,
            ForgeKind::Bitbucket => DEFINITION,
        }
    }
}

const COMMENT: Form = Form { start: "<!-- pullyard:", end: " -->" };
const DEFINITION: Form = Form { start: "[//]: # (pullyard:", end: ")" };
const STATUS: &str = "status";

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The one comment on a pull request that says what was decided last.
    Status,
    Job(JobId),
}

impl Marker {
    /// The text with the mark as its last line, as no page of a forge of this kind shows it.
    pub fn on(&self, kind: ForgeKind, text: &str) -> String {
        // A definition counts only after an empty line.
        format!("{}\n\n{}", text.trim_end(), self.written(Form::of(kind)))
    }

    fn written(&self, Form { start, end }: Form) -> String {
        match self {
            Self::Status => format!("{start}{STATUS}{end}"),
            Self::Job(job) => format!("{start}{job}{end}"),
        }
    }

    /// The mark of a text, which is its last one: what stands before may quote another text of ours.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_end();
        let written = |Form { start, end }: Form| text.strip_suffix(end.trim_start())?.rsplit_once(start);
        let (_, name) = Form::ALL.into_iter().find_map(written)?;
        match name.trim() {
            STATUS => Some(Self::Status),
            name => JobId::new(name).ok().map(Self::Job),
        }
    }

    pub fn is_on(text: &str) -> bool {
        Self::of(text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::job_id;

    #[test]
    fn a_mark_is_known_again_also_when_the_forge_changes_the_ends_of_lines() {
        for marker in [Marker::Status, Marker::Job(job_id("j"))] {
            for kind in [ForgeKind::GitHub, ForgeKind::Bitbucket] {
                let text = marker.on(kind, "Done.\n");
                assert_eq!(Marker::of(&text), Some(marker.clone()), "{text}");
                assert_eq!(Marker::of(&text.replace('\n', "\r\n")), Some(marker.clone()));
                assert_eq!(Marker::of(&format!("{text}\r\n\n")), Some(marker.clone()));
            }
            assert_eq!(Marker::of(&marker.written(COMMENT)), Some(marker));
        }
    }

    #[test]
    fn where_comments_are_shown_a_mark_is_a_definition_that_nothing_refers_to() {
        assert_eq!(Marker::Status.on(ForgeKind::GitHub, "Done."), "Done.\n\n<!-- pullyard:status -->");
        let said = Marker::Status.on(ForgeKind::Bitbucket, "Done.");
        assert_eq!(said, "Done.\n\n[//]: # (pullyard:status)");
    }

    #[test]
    fn the_last_mark_counts_and_it_must_be_last() {
        let (one, two) = (Marker::Job(job_id("j")), Marker::Job(job_id("k")));
        assert_eq!(Marker::of(&two.on(ForgeKind::GitHub, &one.on(ForgeKind::GitHub, "Done."))), Some(two));
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
            assert_eq!(Marker::of(not_ours), None, "{not_ours}");
        }
        assert!(Marker::is_on(&one.on(ForgeKind::GitHub, "Done.")));
        assert!(!Marker::is_on(&format!("{}\n\nI disagree.", one.on(ForgeKind::GitHub, "> Done."))));
    }
}
