//! The parts of the agent's prompt, which `Context::prompt` joins.
//! Ticket text is data: it is fenced, and the prompt declares it as data.

pub mod comments;
pub mod conflict;
pub mod repair;
pub mod review;
mod step;

use crate::agent::checks::JobCommands;
pub use crate::agent::files::{QUESTION_FILE, REPLIES_FILE};
use crate::job::{JobKind, Priority, PullRequestUnderReview};
use crate::project::commits::Author;
use crate::review::analysis::AnalysisPlan;
use crate::review::published::title::defuse_title;
use crate::run::StepContext;
use crate::text::id::{JobId, RepositoryName, TicketKey};
use crate::ticket::event::TicketText;
use comments::FrozenComment;
use review::ReviewContext;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The inputs of a job's prompt, frozen before the job becomes ready, and stored under the hash of their content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub kind: JobKind,
    pub ticket: Option<(TicketKey, TicketText)>,
    /// The ticket's newest comments, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<FrozenComment>,
    pub instructions: Option<String>,
    /// The pull request that the job reviews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviews: Option<PullRequestUnderReview>,
    /// The analysis that the job makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisPlan>,
    pub repository: crate::project::Repository,
    pub base: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewContext>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<JobCommands>,
    /// What sandboxed agents and commands may connect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Author>,
    /// Labels that the request for the job, or the ticket of a reviewed pull request, requires of its runner.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub labels: BTreeSet<String>,
    /// The priority of the request, for a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The step of a run that the job does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepContext>,
}

impl Context {
    /// Adds the messages of users' requests to the instructions. Messages that the instructions contain are skipped,
    /// because a retry starts with the instructions and the requests of its predecessor.
    pub fn with_requests(mut self, messages: &[String]) -> Self {
        for message in messages {
            self.instructions = Some(match self.instructions.take() {
                None => message.clone(),
                Some(text) if contains_paragraphs(&text, message) => text,
                Some(text) => format!("{text}\n\n{message}"),
            });
        }
        self
    }

    pub fn title(&self) -> String {
        if let Some(step) = &self.step {
            return crate::text::truncate(&step.title, 120);
        }
        let title = match (&self.ticket, &self.reviews, &self.instructions) {
            (Some((_, text)), ..) => text.title.as_str(),
            (None, Some(pull_request), _) => pull_request.title.as_str(),
            (None, None, Some(instructions)) => {
                instructions.lines().find(|line| !line.trim().is_empty()).unwrap_or("Untitled")
            }
            (None, None, None) if self.analysis.is_some() => &format!("Open work in {}", self.repository.name),
            (None, None, None) => "Untitled",
        };
        crate::text::truncate(title, 120)
    }

    /// Returns the title of the pull request, which is also the commit's subject, and the paragraphs of its text that
    /// link job and ticket and explain how to request changes.
    pub fn pull_request(&self, job: &JobId, options: &LinkOptions<'_>) -> (String, String) {
        let title = defuse_title(&self.title());
        let title = match &self.ticket {
            Some((key, _)) => format!("{key}: {title}"),
            None => title,
        };
        let own_page = |key: &TicketKey| {
            let is_plain = key.as_str().chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
            let pages = options.pages.filter(|_| is_plain && key.is_path_segment())?;
            Some(format!("{pages}/tickets/{key}?project={}", self.repository.project))
        };
        let mut links = match options.pages {
            Some(pages) => format!("Made by Pullyard: job [{}]({pages}/jobs/{job})", job.short()),
            None => format!("Made by Pullyard: job {job}"),
        };
        if let Some((key, text)) = &self.ticket {
            let url = text.url.clone().filter(|url| is_safe_link_target(url)).or_else(|| own_page(key));
            let key = escape_link_text(key);
            links.push_str(
                &url.map_or_else(|| format!(" for ticket {key}"), |url| format!(" for ticket [{key}]({url})")),
            );
        }
        links.push_str(".\n");
        // A pull request without a ticket gets no revisions.
        if self.ticket.is_some() {
            links.push_str(match options.revises_on_review {
                true => "To have something changed, request changes in a review, or comment `/pullyard revise`.\n",
                false => "To have something changed, comment `/pullyard revise`.\n",
            });
        }
        (title, links)
    }

    pub fn repository_name(&self) -> &RepositoryName {
        &self.repository.name
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LinkOptions<'a> {
    /// The address of Pullyard's pages, without a slash at the end, if the readers of the pull request reach it.
    pub pages: Option<&'a str>,
    pub revises_on_review: bool,
}

/// Whether the text has these paragraphs as a whole, as [`Context::with_requests`] adds a message.
pub fn contains_paragraphs(text: &str, paragraphs: &str) -> bool {
    format!("\n\n{text}\n\n").contains(&format!("\n\n{paragraphs}\n\n"))
}

fn escape_link_text(key: &TicketKey) -> String {
    key.as_str()
        .chars()
        .flat_map(|c| matches!(c, '[' | ']' | '`' | '<' | '\\').then_some('\\').into_iter().chain([c]))
        .collect()
}

fn is_safe_link_target(url: &str) -> bool {
    let is_unsafe = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '(' | ')' | '<' | '>');
    (url.starts_with("https://") || url.starts_with("http://")) && !url.contains(is_unsafe)
}

#[cfg(test)]
mod tests;
