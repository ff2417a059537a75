//! The page of a pull request of the local forge, with its diff and its conversation.

use super::agent_reviews::{self, AgentReviewList, Reviewed};
use super::conversation::{Conversation, LineThread, Thread, login};
use super::form::{Draft, ReviewForm};
use super::{Reviews, hosted, load_reviews};
use crate::assets;
use crate::board::ticket_url;
use crate::diff::{self, Diff};
use crate::jobs::Row;
use crate::labels::{DASH, RING, TICK};
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use pullyard_control::{ForgePullRequestState as State, LocalPullRequest};
use pullyard_domain::job::Job;
use pullyard_domain::project::Repository;
use pullyard_domain::review::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_domain::text::id::IntegrationId;

/// Integration, the forge's id of the repository, and number.
pub(super) type PullPath = (IntegrationId, u64, u64);

pub(super) struct Subject {
    pub(super) id: PullRequestId,
    pub(super) project: ProjectId,
    /// `None` after its project removed it.
    repository: Option<Repository>,
    pub(super) is_local: bool,
    linked: Option<PullRequest>,
}

impl Subject {
    pub(super) fn address(&self) -> String {
        format!("/pulls/{}", self.id)
    }

    /// Errors: 404 after its project removed it, because the live content may belong to another project now.
    pub(super) fn repository(&self) -> Result<&Repository, Fault> {
        self.repository.as_ref().ok_or_else(|| {
            let ticket = self.linked.as_ref().and_then(|linked| linked.ticket.as_ref());
            let ticket = ticket.map_or_else(|| "Its job".to_owned(), |key| format!("The ticket {key}"));
            Fault::not_found(&format!(
                "{} has removed the repository of pull request #{}.",
                self.project, self.id.number
            ))
            .help(&format!("{ticket} stays. To see the pull request, add the repository to the project again."))
        })
    }
}

/// Errors: 404 for a pull request of another project, and for an unknown repository.
pub(super) async fn load_subject(
    visit: &PageContext,
    (integration, repository, number): PullPath,
) -> Result<Subject, Fault> {
    let store = &visit.ctx.store;
    let id = PullRequestId { integration, repository, number };
    let linked = store.load_pull_request(&id).await?;
    let projects = match &linked {
        Some(linked) => visit.visitor.may_access(&linked.project).then(|| linked.project.clone()).into_iter().collect(),
        None => visit.projects().to_vec(),
    };
    let is_local = control::is_local_forge(&visit.ctx, &id.integration);
    for project in projects {
        if let Some(repository) = store.load_repository(&project, &id.integration, id.repository).await? {
            return Ok(Subject { id, project, repository: Some(repository), is_local, linked });
        }
    }
    match linked {
        Some(linked) if visit.visitor.may_access(&linked.project) => {
            Ok(Subject { id, project: linked.project.clone(), repository: None, is_local, linked: Some(linked) })
        }
        _ => Err(missing(&id)),
    }
}

fn missing(id: &PullRequestId) -> Fault {
    Fault::not_found(&format!("Your projects have no pull request #{} of this repository.", id.number))
}

#[derive(Deserialize)]
pub(crate) struct PullQuery {
    file: Option<usize>,
    /// `FILE:LINE` of the comment to write, with the number of the file in the diff.
    #[serde(default)]
    at: String,
}

#[derive(Template)]
#[template(path = "pull_request.html")]
struct PullPage {
    frame: Frame,
    address: String,
    number: u64,
    title: SafeText,
    description: SafeHtml,
    pill: Pill,
    state: State,
    /// The script loads the page again when it changes.
    version: String,
    head: String,
    branches: [SafeText; 2],
    repository: SafeText,
    opened: TimeLabel,
    author: SafeText,
    commits: u64,
    /// The account and the commit.
    merged: Option<(SafeText, SafeText)>,
    is_draft: bool,
    form_key: String,
    ticket: Option<(String, SafeText)>,
    /// Each with its commit, if it pushed one.
    jobs: Vec<(Row, Option<SafeText>)>,
    reviews: Option<Reviews>,
    agents: AgentReviewList,
    threads: Vec<Thread>,
    diff: Option<Diff>,
    no_diff: SafeText,
    only: Option<usize>,
    refresh: u32,
    summary: String,
    /// Drafts at lines that the page does not show.
    drafts: Vec<Draft>,
    fault: Option<Fault>,
}

pub(crate) async fn show(
    visit: PageContext,
    Path(path): Path<PullPath>,
    Query(query): Query<PullQuery>,
) -> Result<Response, Fault> {
    let subject = load_subject(&visit, path).await?;
    if !subject.is_local {
        let linked = subject.linked.as_ref().ok_or_else(|| missing(&subject.id))?;
        return hosted::render(&visit, &subject, linked).await;
    }
    render(&visit, &subject, Some(query), ReviewForm::default(), None).await
}

/// Renders the page with the texts that a refused form contained, and with its fault.
pub(super) async fn render(
    visit: &PageContext,
    subject: &Subject,
    query: Option<PullQuery>,
    mut form: ReviewForm,
    fault: Option<Fault>,
) -> Result<Response, Fault> {
    let Subject { id, project, linked, .. } = subject;
    let repository = subject.repository()?;
    let name = &repository.name;
    let pull = match control::load_local_pull_request(&visit.ctx, repository, id.number).await {
        Err(Error::NotFound { .. }) => return Err(missing(id)),
        pull => pull?,
    };
    let now = visit.ctx.clock.now();
    let only = query.as_ref().and_then(|query| query.file);
    let mut conversation = Conversation::new(&pull, now);
    let (mut diff, no_diff) = match &pull.diff {
        Ok(patch) => (Some(diff::parse(patch, only)), SafeText::default()),
        Err(reason) => (None, line(reason)),
    };
    form.mark_old_drafts(&pull.pull_request.head_sha);
    let ReviewForm { summary, mut drafts, .. } = form;
    if let Some(diff) = &mut diff {
        diff.address = subject.address();
        diff.may_comment = visit.visitor.may_run_jobs() && pull.pull_request.state == State::Open;
        drafts.extend(query.and_then(|query| find_new_draft(diff, &query.at)).filter(|_| diff.may_comment));
        for LineThread { path, line, entries } in std::mem::take(&mut conversation.at_lines) {
            if let Some(line) = diff.find_line(&path, line) {
                line.threads.push(entries);
            }
        }
        drafts.retain(|draft| match diff.find_line(&draft.path, draft.line) {
            Some(line) if line.draft.is_none() => {
                line.draft = Some(draft.clone());
                false
            }
            _ => true,
        });
    }
    let ticket = match linked.as_ref().and_then(|linked| linked.ticket.as_ref()) {
        Some(key) => visit.ctx.store.load_ticket(project, key).await?,
        None => None,
    };
    let mut jobs = Vec::new();
    let mut reviews = None;
    if let Some(ticket) = &ticket {
        jobs = control::list_jobs_of_ticket(&visit.ctx, ticket).await?;
        if ticket.pull_request.as_ref().is_some_and(|link| link.id == *id) {
            let project = visit.load_project(project).await?;
            reviews = load_reviews(visit, &project.settings, ticket).await?;
        }
    } else if let Some(job) = linked.as_ref().and_then(|linked| linked.job.as_ref()) {
        jobs.push(control::job_view(&visit.ctx, job).await?);
    }
    let state = match pull.pull_request.state {
        State::Open => PullRequestState::Open,
        State::Closed => PullRequestState::Closed,
        State::Merged => PullRequestState::Merged,
    };
    let of = Reviewed { repository: name, id, state };
    let agents = agent_reviews::load(visit, &of, linked.as_ref()).await?;
    let is_running = agents.running.is_some() || jobs.iter().any(|view| !view.job.status.is_terminal());
    // The answer to a form cannot be fetched again.
    let refresh = if fault.is_some() { 0 } else { labels::refresh_ms(is_running) };
    let entries = conversation.threads.iter().flat_map(|thread| &thread.entries);
    let entries: String = entries.map(|entry| format!("{} {} {}\n", entry.anchor, entry.action, entry.html)).collect();
    let LocalPullRequest { pull_request, details, .. } = pull;
    let content = format!("{} {:?} {}\n{entries}", pull_request.head_sha, pull_request.state, details.text);
    let version = format!("{:016x}", assets::hash(&content));
    let title = format!("{} #{}", pull_request.title, id.number);
    let page = PullPage {
        frame: visit.frame(&title, "pulls", Some(project)),
        address: subject.address(),
        number: id.number,
        title: line(&pull_request.title),
        description: markdown::render(&details.text, Below::Title),
        pill: if pull_request.draft && state == PullRequestState::Open { DRAFT } else { pill(state) },
        state: pull_request.state,
        version,
        branches: [line(&pull_request.head_branch), line(&pull_request.base_branch)],
        head: pull_request.head_sha,
        repository: line(name.as_str()),
        opened: labels::format_time(Timestamp::from_millis(details.created_at.millis()), now),
        author: line(login(details.author.as_ref())),
        commits: details.commits,
        merged: (pull_request.state == State::Merged).then(|| {
            let commit = details.merge_commit.as_deref().unwrap_or_default();
            (line(login(details.merged_by.as_ref())), text::short_commit(commit))
        }),
        is_draft: pull_request.draft,
        form_key: new_form_key(),
        ticket: ticket.map(|ticket| (ticket_url(&ticket.project, &ticket.key), line(ticket.key.as_str()))),
        jobs: jobs.iter().map(|view| (Row::new(view), commit_of(&view.job))).collect(),
        reviews,
        agents: AgentReviewList { refresh, ..agents },
        threads: conversation.threads,
        diff,
        no_diff,
        only,
        refresh,
        summary,
        drafts,
        fault,
    };
    Ok(render_page(page.fault.as_ref().map_or(StatusCode::OK, |fault| fault.status), &page))
}

fn commit_of(job: &Job) -> Option<SafeText> {
    job.result.as_ref().map(|result| text::short_commit(&result.head))
}

fn find_new_draft(diff: &Diff, at: &str) -> Option<Draft> {
    let (file, line) = at.split_once(':')?;
    let (number, line): (usize, u64) = (file.parse().ok()?, line.parse().ok()?);
    let file = diff.files.iter().find(|file| file.number == number)?;
    Some(Draft { path: file.raw_path.clone(), line, has_focus: true, ..Draft::default() })
}

const DRAFT: Pill = Pill { word: "Draft", shape: "dashed", path: RING, tone: "wait" };

pub(super) fn pill(state: PullRequestState) -> Pill {
    let (word, shape, path, tone) = match state {
        PullRequestState::Open => ("Open", "ring", RING, "accent"),
        PullRequestState::Merged => ("Merged", "tick", TICK, "ok"),
        PullRequestState::Closed => ("Closed", "dash", DASH, "wait"),
    };
    Pill { word, shape, path, tone }
}
