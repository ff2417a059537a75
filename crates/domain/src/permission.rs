//! Which feature needs which permission at GitHub: the one table that the manifest of an App, the tokens of
//! attempts, `pullyard repos test` and docs/forges.md are made of. How permissions are asked for is elsewhere.
//!
//! Bitbucket's is beside it: of a token there, nobody can ask what it may do.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a permission lets do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Look.
    Read,
    /// Look and change.
    Write,
}

impl Level {
    /// As forges spell it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A permission of an App or a token, by its forge's name.
pub type Permission = (&'static str, Level);

/// Permissions by their names, each with `read`, `write` or `admin`.
pub type Granted = BTreeMap<String, String>;

/// What Pullyard does in a repository.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Finding the repository, and asking what a reviewer may do in it.
    Look,
    /// Fetching and pushing branches.
    Push,
    /// Pushing what changes the files under `.github/workflows`.
    Workflows,
    /// Opening pull requests, reading reviews, answering comments, asking a reviewer again.
    PullRequests,
    /// Closing a conversation of a review.
    Threads,
    /// Comments and labels that order something, and the comment that tells what was decided.
    Comments,
    /// The status of a commit.
    Statuses,
    /// Making and mending the webhooks of a repository.
    Hooks,
}

/// Whether a feature is one that every repository needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// No job is done without it.
    Always,
    /// Only where the repository is connected with `--workflows`.
    OfRepository,
    /// Only what is named goes missing without it.
    Optional,
    /// An App needs it never: its own webhook serves all repositories.
    OfTokens,
}

/// One row of the published table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is about.
    pub feature: Feature,
    /// The same in words.
    pub words: &'static str,
    /// What an App or a fine-grained token needs for it: all of them.
    pub permissions: &'static [Permission],
    /// What a classic token needs for it.
    pub scope: &'static str,
    /// Who needs it.
    pub need: Need,
}

/// The published table.
pub const TABLE: [Row; 8] = {
    use Level::{Read, Write};
    const fn row(
        feature: Feature,
        words: &'static str,
        permissions: &'static [Permission],
        scope: &'static str,
        need: Need,
    ) -> Row {
        Row { feature, words, permissions, scope, need }
    }
    [
        row(
            Feature::Look,
            "find the repository, and ask what a reviewer may do in it",
            &[("metadata", Read)],
            "repo",
            Need::Always,
        ),
        row(Feature::Push, "fetch and push branches", &[("contents", Write)], "repo", Need::Always),
        row(
            Feature::Workflows,
            "push changes of files under .github/workflows",
            &[("workflows", Write)],
            "workflow",
            Need::OfRepository,
        ),
        row(
            Feature::PullRequests,
            "open pull requests, read reviews, answer comments, ask a reviewer again",
            &[("pull_requests", Write)],
            "repo",
            Need::Always,
        ),
        row(
            Feature::Threads,
            "resolve a review's conversations",
            &[("contents", Write), ("pull_requests", Write)],
            "repo",
            Need::Optional,
        ),
        row(
            Feature::Comments,
            "read commands in comments and labels, and say there what was decided",
            &[("issues", Write)],
            "repo",
            Need::Optional,
        ),
        row(Feature::Statuses, "show a job as a commit's status", &[("statuses", Write)], "repo", Need::Optional),
        row(
            Feature::Hooks,
            "make and mend the repository's webhook",
            &[("repository_hooks", Write)],
            "repo",
            Need::OfTokens,
        ),
    ]
};

/// The same on Bitbucket, by the names of its scopes.
pub const BITBUCKET: [Row; 3] = {
    use Level::{Read, Write};
    const fn row(feature: Feature, words: &'static str, permissions: &'static [Permission]) -> Row {
        Row { feature, words, permissions, scope: "", need: Need::Always }
    }
    [
        row(Feature::Look, "find the repository", &[("repository", Read)]),
        row(Feature::Push, "fetch and push branches", &[("repository", Read), ("repository", Write)]),
        row(
            Feature::PullRequests,
            "open pull requests, read reviews, answer comments",
            &[("pullrequest", Read), ("pullrequest", Write)],
        ),
    ]
};

/// The events that an App subscribes to; `installation` and `installation_repositories` come unasked.
pub const EVENTS: [&str; 7] = [
    "issue_comment",
    "issues",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "repository",
];

/// Whether jobs of a repository may change its workflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workflows {
    /// They may.
    Change,
    /// A push that does is refused by the forge.
    Keep,
}

/// What an App asks for when it is made.
pub fn of_app(workflows: Workflows) -> Granted {
    collect(TABLE.iter().filter(|row| match row.need {
        Need::Always | Need::Optional => true,
        Need::OfRepository => workflows == Workflows::Change,
        Need::OfTokens => false,
    }))
}

/// What an App must at least ask for: what no job is done without, and what its hook can't tell of comments
/// without.
pub fn least_of_app() -> Granted {
    let mut least = collect(TABLE.iter().filter(|row| row.need == Need::Always));
    least.insert("issues".into(), Level::Read.code().into());
    least
}

/// What the token of an attempt may do: what its runner does, and nothing else.
pub fn of_attempt(workflows: Workflows) -> Granted {
    collect(TABLE.iter().filter(|row| match row.feature {
        Feature::Push | Feature::PullRequests => true,
        Feature::Workflows => workflows == Workflows::Change,
        _ => false,
    }))
}

/// What the control plane's own token may do: what it does itself, as far as that was granted. It pushes
/// nothing, so it never has the right to.
pub fn of_control(granted: &Granted) -> Granted {
    let wanted = [("metadata", Level::Read), ("contents", Level::Read), ("pull_requests", Level::Write)];
    let more = [("issues", Level::Write), ("statuses", Level::Write), ("repository_hooks", Level::Write)];
    let wanted = wanted.into_iter().chain(more);
    wanted
        .filter_map(|(name, level)| {
            let level = if has(granted, (name, level)) { level } else { Level::Read };
            has(granted, (name, level)).then(|| (name.to_owned(), level.code().to_owned()))
        })
        .collect()
}

/// What was not granted of what is wanted, as `name: level`.
pub fn lacking(granted: &Granted, wanted: &Granted) -> Vec<String> {
    let level = |code: &str| if code == "read" { Level::Read } else { Level::Write };
    let lacking = wanted.iter().filter(|(name, code)| !has(granted, (name, level(code))));
    lacking.map(|(name, code)| format!("{name}: {code}")).collect()
}

fn collect<'a>(rows: impl Iterator<Item = &'a Row>) -> Granted {
    let mut all = BTreeMap::new();
    for (name, level) in rows.flat_map(|row| row.permissions) {
        let known = all.entry((*name).to_owned()).or_insert(*level);
        *known = (*known).max(*level);
    }
    all.into_iter().map(|(name, level)| (name, level.code().to_owned())).collect()
}

fn has(granted: &Granted, (name, level): (&str, Level)) -> bool {
    match granted.get(name).map(String::as_str) {
        Some("write" | "admin") => true,
        Some("read") => level == Level::Read,
        _ => false,
    }
}

/// What was seen of somebody's rights in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// An App, and what the installation was granted.
    App(Granted),
    /// A classic token: its scopes, and what its account may do.
    Classic {
        /// The scopes.
        scopes: Vec<String>,
        /// Only invited accounts see the repository.
        private: bool,
        /// What its account may do.
        account: Role,
    },
    /// Any other token: what its account may do, and the permissions without which it was refused something.
    Other {
        /// What its account may do.
        account: Role,
        /// Permissions that it lacks even to read.
        unreadable: Vec<&'static str>,
    },
}

/// What an account may do in a repository, by any token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    Reader,
    /// Push.
    Writer,
    /// Everything.
    Admin,
}

/// Whether a feature works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Works,
    /// It does not, and what to do.
    Missing(String),
    /// Nobody can tell without changing something; what it needs.
    Untold(String),
    /// It is not needed here, and why.
    Needless(&'static str),
}

/// Whether a row's feature works for whom it was seen.
pub fn judge(row: &Row, seen: &Seen, workflows: Workflows) -> Verdict {
    if row.need == Need::OfRepository && workflows == Workflows::Keep {
        return Verdict::Needless("the repository is connected without --workflows");
    }
    let needs = row.permissions.iter().map(|(name, level)| format!("{name}: {}", level.code())).collect::<Vec<_>>();
    match seen {
        Seen::App(_) if row.need == Need::OfTokens => Verdict::Needless("the App's own webhook serves it"),
        Seen::App(granted) => {
            let lacking = lacking(granted, &collect(std::iter::once(row)));
            if lacking.is_empty() {
                return Verdict::Works;
            }
            Verdict::Missing(format!("grant the App {}, and accept it where it is installed", lacking.join(" and ")))
        }
        Seen::Classic { account, .. } | Seen::Other { account, .. } if *account < role(row) => {
            let role = if role(row) == Role::Admin { "admin" } else { "write" };
            Verdict::Missing(format!("give the token's account the role {role} in the repository"))
        }
        Seen::Classic { scopes, private, .. } => match covers(scopes, row.scope, *private) {
            true => Verdict::Works,
            false => Verdict::Missing(format!("give the token the scope {}", row.scope)),
        },
        Seen::Other { .. } if row.feature == Feature::Look => Verdict::Works,
        Seen::Other { unreadable, .. } => {
            let refused = row.permissions.iter().any(|(name, _)| unreadable.contains(name));
            match refused {
                true => Verdict::Missing(format!("give the token {}", needs.join(" and "))),
                false => Verdict::Untold(format!("it needs {}", needs.join(" and "))),
            }
        }
    }
}

/// What a Bitbucket that showed a repository says of its pull requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenPulls {
    /// They can be listed.
    Readable,
    /// They can't.
    Hidden,
}

/// Whether a row of [`BITBUCKET`] works in a repository that can be seen. What a token may write shows only when it
/// does.
pub fn judge_on_bitbucket(row: &Row, pulls: SeenPulls) -> Verdict {
    let needs = row.permissions.iter().map(|(name, level)| format!("{}:{name}", level.code())).collect::<Vec<_>>();
    match (row.feature, pulls) {
        (Feature::Look, _) => Verdict::Works,
        (Feature::PullRequests, SeenPulls::Hidden) => {
            Verdict::Missing(format!("give the token {}", needs.join(" and ")))
        }
        _ => Verdict::Untold(format!("it needs {}", needs.join(" and "))),
    }
}

/// The least role in the repository that the row's feature needs of a person's account.
fn role(row: &Row) -> Role {
    match row.feature {
        Feature::Look => Role::Reader,
        Feature::Hooks => Role::Admin,
        _ => Role::Writer,
    }
}

fn covers(scopes: &[String], wanted: &str, private: bool) -> bool {
    let has = |scope: &str| scopes.iter().any(|one| one == scope);
    match wanted {
        "repo" => has("repo") || (!private && has("public_repo")),
        other => has(other),
    }
}

#[cfg(test)]
mod tests;
