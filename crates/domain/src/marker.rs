//! The marks by which we know our own texts at a forge again: HTML comments, which no page shows.
//!
//! Anybody can copy a mark. It keeps us from saying a thing twice, and from taking our own words for a
//! person's; nothing is permitted because of one.

use crate::id::JobId;

const START: &str = "<!-- pullyard:";
const END: &str = " -->";
const STATUS: &str = "status";

/// What a text of ours is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Marker {
    /// The one comment on a pull request that says what was decided last.
    Status,
    /// Something that was written for a job.
    Job(JobId),
}

impl Marker {
    /// The comment that carries it.
    pub fn comment(&self) -> String {
        match self {
            Self::Status => format!("{START}{STATUS}{END}"),
            Self::Job(job) => format!("{START}{job}{END}"),
        }
    }

    /// The text with the mark as its last line.
    pub fn on(&self, text: &str) -> String {
        format!("{}\n\n{}", text.trim_end(), self.comment())
    }

    /// The mark of a text, which is its last one: what stands before may quote another text of ours.
    pub fn of(text: &str) -> Option<Self> {
        let last = text.trim_end().strip_suffix(END.trim_start())?;
        let (_, name) = last.rsplit_once(START)?;
        match name.trim() {
            STATUS => Some(Self::Status),
            name => JobId::new(name).ok().map(Self::Job),
        }
    }

    /// Whether a text is one of ours.
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
            let text = marker.on("Done.\n");
            assert_eq!(Marker::of(&text), Some(marker.clone()), "{text}");
            assert_eq!(Marker::of(&text.replace('\n', "\r\n")), Some(marker.clone()));
            assert_eq!(Marker::of(&format!("{text}\r\n\n")), Some(marker.clone()));
            assert_eq!(Marker::of(&marker.comment()), Some(marker));
        }
    }

    #[test]
    fn the_last_mark_counts_and_it_must_be_last() {
        let (one, two) = (Marker::Job(job_id("j")), Marker::Job(job_id("k")));
        assert_eq!(Marker::of(&two.on(&one.on("Done."))), Some(two));
        for not_ours in [
            "",
            "Done.",
            "-->",
            "<!-- pullyard: -->",
            "<!-- pullyard:job_short -->",
            "<!-- pullyard:status",
            "<!-- other:status -->",
        ] {
            assert_eq!(Marker::of(not_ours), None, "{not_ours}");
        }
        assert!(!Marker::is_on(&format!("{}\n\nI disagree.", one.on("> Done."))));
    }
}
