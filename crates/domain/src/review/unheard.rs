//! What follows from a forge whose reviews start nothing. Which forge that is, [`ForgeKind::has_reviews`] says.

use crate::decision::Reason;
use crate::id::ProjectId;
use crate::project::{ForgeKind, Settings};
use crate::pull_request::{PullRequest, PullRequestState};

/// Why no request for changes starts a job on this pull request, whatever the project's settings and the hour say, and
/// what to do about it. None: the guards decide.
pub fn nothing_starts(linked: &PullRequest, kind: ForgeKind) -> Option<(String, String)> {
    // That it is closed is so everywhere, and the guards say it.
    if kind.has_reviews() || linked.state != PullRequestState::Open {
        return None;
    }
    if linked.ticket.is_none() {
        let unlinked = Reason::NoLinkedTicket { pr: linked.label() };
        return Some((unlinked.sentence(), unlinked.help()));
    }
    Some((
        format!("Nothing waits: reviews on {} start no jobs.", kind.words()),
        format!("To have it revised: `pullyard revise {} -m TEXT`.", linked.label()),
    ))
}

/// What is so with `revise_on_review` where none of a project's repositories lives on a forge whose reviews start jobs,
/// and what to do about it; `kinds` are the forges of its repositories. None: it starts something, is off, or there is no
/// repository yet.
pub fn revises_nothing(
    project: &ProjectId,
    settings: &Settings,
    kinds: impl IntoIterator<Item = ForgeKind>,
) -> Option<(String, String)> {
    let mut kinds = kinds.into_iter();
    let first = kinds.next().filter(|kind| settings.revise_on_review && !kind.has_reviews())?;
    if kinds.any(ForgeKind::has_reviews) {
        return None;
    }
    Some((
        format!("revise_on_review starts nothing in {project}: reviews on {} start no jobs.", first.words()),
        "To have a pull request revised: `pullyard revise PR -m TEXT`.".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{linked, project_id, settings};
    use ForgeKind::{Bitbucket, GitHub};

    #[test]
    fn a_review_starts_nothing_on_a_forge_without_reviews_and_why_is_said_of_open_pull_requests() {
        use PullRequestState::{Closed, Merged, Open};
        let revise = format!("To have it revised: `pullyard revise {} -m TEXT`.", linked().label());
        let unheard = ("Nothing waits: reviews on Bitbucket start no jobs.".to_owned(), revise);
        let unlinked = Reason::NoLinkedTicket { pr: linked().label() };
        let unlinked = (unlinked.sentence(), unlinked.help());
        for (kind, state, has_ticket, said) in [
            (GitHub, Open, true, None),
            (GitHub, Open, false, None),
            (GitHub, Merged, true, None),
            (Bitbucket, Open, true, Some(unheard)),
            (Bitbucket, Open, false, Some(unlinked)),
            (Bitbucket, Closed, true, None),
            (Bitbucket, Merged, true, None),
            (Bitbucket, Merged, false, None),
        ] {
            let ticket = linked().ticket.filter(|_| has_ticket);
            let of = PullRequest { state, ticket, ..linked() };
            assert_eq!(nothing_starts(&of, kind), said, "{kind:?} {state:?} {has_ticket}");
        }
    }

    #[test]
    fn revising_on_review_starts_nothing_where_every_repository_is_on_a_forge_without_reviews() {
        for (is_on, kinds, starts_nothing) in [
            (true, vec![Bitbucket], true),
            (true, vec![Bitbucket, Bitbucket], true),
            (true, vec![Bitbucket, GitHub], false),
            (true, vec![GitHub, Bitbucket], false),
            (true, vec![GitHub], false),
            (true, vec![], false),
            (false, vec![Bitbucket], false),
        ] {
            let settings = Settings { revise_on_review: is_on, ..settings() };
            let said = revises_nothing(&project_id(), &settings, kinds.iter().copied());
            assert_eq!(said.is_some(), starts_nothing, "{is_on} {kinds:?}");
            let names =
                |(sentence, _): &(String, String)| sentence.contains("in acme") && sentence.contains("Bitbucket");
            assert!(said.iter().all(names), "{said:?}");
        }
    }
}
