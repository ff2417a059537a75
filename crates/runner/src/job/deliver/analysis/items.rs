//! Reads the open items from the forge. Items that did not change keep the data of the previous report.

use crate::api::forge_wait::{ForgeFault, ForgeWait};
use crate::attempt::Attempt;
use crate::git::target::{to_source_fault, unreachable};
use crate::job::deliver::change::renew_old_access;
use crate::job::preparation::Preparation;
use crate::output::InputFile;
use crate::stop::Stop;
use pullyard_domain::review::analysis::{
    Activity, ActivityKind, AnalysedItem, AnalysisReport, ItemKind, ItemList, MAX_ITEMS, MAX_TITLE_CHARS,
    MAX_URL_BYTES, Opened, Signals, content_hash,
};
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::truncate_lines;
use pullyard_domain::text::untrusted::{remove_hidden, to_single_line};
use pullyard_forge::{Actor, Error, Forge, OpenItem, ReviewState, Time};
use pullyard_protocol::attempt::{AssignedAnalysis, Phase};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
/// An item with activity within this time is read again even without a change at the forge, because a forge may not
/// count each review as a change.
const ACTIVE: Duration = HOUR.saturating_mul(14 * 24);
/// But not more often.
const READ_INTERVAL: Duration = HOUR.saturating_mul(20);
const MAX_TEXT_CHARS: usize = 2_000;
const MAX_REMARKS: usize = 10;
const MAX_FILE_CHARS: usize = 4_000;

pub(super) struct ReadItems {
    pub(super) report: AnalysisReport,
    /// The text of each item without a current summary, for the agent.
    pub(super) texts: HashMap<(ItemKind, u64), InputFile>,
}

/// A comment or a review with its text.
struct Remark {
    activity: Activity,
    author: String,
    text: String,
}

struct Reader<'a, 'b> {
    attempt: &'a Attempt<'a>,
    preparation: &'a mut Preparation<'b>,
    forge_wait: ForgeWait<'a>,
    plan: &'a AssignedAnalysis,
}

pub(super) async fn read_items(
    attempt: &Attempt<'_>,
    preparation: &mut Preparation<'_>,
    plan: &AssignedAnalysis,
) -> Result<ReadItems, Stop> {
    let forge_wait = ForgeWait::new(attempt, Phase::Preparing, attempt.forge_away);
    let mut reader = Reader { attempt, preparation, forge_wait, plan };
    let mut report = plan.previous.clone().unwrap_or_default();
    let (before, carried): (Vec<_>, Vec<_>) = report.items.into_iter().partition(|item| plan.what.contains(&item.kind));
    let mut before: HashMap<_, _> = before.into_iter().map(|item| ((item.kind, item.number), item)).collect();
    report.items = carried;
    if plan.named {
        before.values_mut().for_each(|item| item.failed = None);
    }
    if plan.what.contains(&ItemKind::Issues) {
        report.issues_refused = false;
    }
    let mut all_open = Vec::new();
    for kind in &plan.what {
        let Some(mut items) = reader.list(*kind).await? else {
            report.lists.remove(kind);
            report.issues_refused = true;
            continue;
        };
        // An item that changes between two pages is on both.
        let mut numbers = HashSet::new();
        items.retain(|item| numbers.insert(item.number));
        let open = u32::try_from(items.len()).unwrap_or(u32::MAX);
        report.lists.insert(*kind, ItemList { as_of: plan.now, open });
        all_open.extend(items.into_iter().map(|item| (*kind, item)));
    }
    all_open.sort_by_key(|(_, item)| Reverse(item.updated_at));
    all_open.truncate(MAX_ITEMS);
    let (mut texts, mut read_count, total) = (HashMap::new(), 0_u32, all_open.len());
    for (kind, open) in all_open {
        let key = (kind, open.number);
        let before = before.remove(&key);
        if let Some(before) = before.as_ref().filter(|before| !reader.must_read(before, &open)) {
            report.items.push(before.clone());
            continue;
        }
        read_count += 1;
        // The item may have been deleted since the list.
        let Some(remarks) = reader.read_remarks(kind, open.number).await? else { continue };
        let item = reader.to_item(kind, &open, &remarks, before);
        if needs_summary(&item) {
            texts.insert(key, reader.to_file(&item, &open, &remarks));
        }
        report.items.push(item);
    }
    attempt.events.log(format!("Read the comments and reviews of {read_count} of {total} open items."));
    Ok(ReadItems { report: report.keep_newest(size_bytes), texts })
}

impl Reader<'_, '_> {
    fn must_read(&self, before: &AnalysedItem, open: &OpenItem) -> bool {
        let is_active = self.plan.now.since(before.signals.last_at) < ACTIVE;
        before.updated != to_timestamp(open.updated_at)
            || needs_summary(before)
            || (is_active && self.plan.now.since(before.read) > READ_INTERVAL)
    }

    /// Repeats a call until the forge decides.
    async fn call<T>(&mut self, call: impl AsyncFn(&Forge, &str) -> Result<T, Error>) -> Result<T, Stop> {
        let Self { attempt, preparation, forge_wait, .. } = self;
        let repository = &attempt.assignment.repository;
        let call = async || -> Result<T, ForgeFault> {
            // A token may expire during a wait.
            renew_old_access(attempt, preparation).await?;
            let forge = &preparation.access.forge;
            call(forge, repository.name.as_str()).await.map_err(|error| to_source_fault(&error, repository))
        };
        forge_wait.retry(unreachable(repository), call).await
    }

    /// `None` if the forge refuses to list issues that no user named.
    async fn list(&mut self, kind: ItemKind) -> Result<Option<Vec<OpenItem>>, Stop> {
        let list = async |forge: &Forge, name: &str| match kind {
            ItemKind::Pulls => forge.open_pulls(name).await,
            ItemKind::Issues => forge.open_issues(name).await,
        };
        let listed = self.call(list).await;
        if let Err(Stop::Failure(Failure::SourceDenied { .. } | Failure::SourceNotFound { .. })) = &listed {
            let list = kind.label();
            self.attempt
                .events
                .log(format!("The forge refused to list {list}: the credentials need read access to {list}."));
            if kind == ItemKind::Issues && !self.plan.named {
                return Ok(None);
            }
        }
        Ok(Some(listed?.items))
    }

    /// Oldest first. `None` if the item does not exist any more.
    async fn read_remarks(&mut self, kind: ItemKind, number: u64) -> Result<Option<Vec<Remark>>, Stop> {
        let comments = self.call(async |forge, name| found(forge.issue_comments(name, number).await)).await?;
        let reviews = match kind {
            ItemKind::Pulls => self.call(async |forge, name| found(forge.reviews(name, number).await)).await?,
            ItemKind::Issues => None,
        };
        let Some(comments) = comments else { return Ok(None) };
        let comments = comments.items.into_iter().map(|comment| {
            let at = to_timestamp(comment.created_at);
            self.to_remark(comment.author, at, ActivityKind::Comment, comment.reactions, &comment.body)
        });
        let reviews = reviews.into_iter().flat_map(|reviews| reviews.items).filter_map(|review| {
            let kind = match review.state {
                ReviewState::ChangesRequested => ActivityKind::ChangeRequest,
                ReviewState::Approved => ActivityKind::Approval,
                ReviewState::Commented => ActivityKind::Review,
                ReviewState::Dismissed => ActivityKind::Dismissed,
                ReviewState::Pending => return None,
            };
            let at = to_timestamp(review.submitted_at?);
            Some(self.to_remark(review.author, at, kind, 0, &review.body))
        });
        let mut remarks: Vec<_> = comments.chain(reviews).collect();
        remarks.sort_by_key(|remark| remark.activity.at);
        Ok(Some(remarks))
    }

    fn to_remark(
        &self,
        author: Option<Actor>,
        at: Timestamp,
        kind: ActivityKind,
        reactions: u32,
        text: &str,
    ) -> Remark {
        let name = author.as_ref().map_or("A deleted account", |author| &author.login).to_owned();
        Remark {
            activity: Activity { author: self.to_user(author), at, kind, reactions },
            author: name,
            text: remove_hidden(text),
        }
    }

    /// `None` for a bot and for our own account.
    fn to_user(&self, author: Option<Actor>) -> Option<String> {
        let own = self.attempt.assignment.repository.account;
        author.filter(|author| !author.is_bot && Some(author.id) != own).map(|author| author.login)
    }

    fn to_item(
        &self,
        kind: ItemKind,
        open: &OpenItem,
        remarks: &[Remark],
        before: Option<AnalysedItem>,
    ) -> AnalysedItem {
        let clean = |text: &str, most| to_single_line(&self.attempt.redactor.redact_text(&remove_hidden(text)), most);
        let opened = Opened {
            author: self.to_user(open.author.clone()),
            at: to_timestamp(open.created_at),
            draft: open.draft,
            reactions: open.reactions,
        };
        let activities: Vec<_> = remarks.iter().map(|remark| remark.activity.clone()).collect();
        let content = [open.title.as_str(), &open.text, open.head.as_deref().unwrap_or_default()];
        let newest = newest(remarks).map(|remark| remark.text.as_str());
        AnalysedItem {
            kind,
            number: open.number,
            title: clean(&open.title, MAX_TITLE_CHARS),
            url: Some(&open.url).filter(|url| url.len() <= MAX_URL_BYTES).cloned().unwrap_or_default(),
            author: open.author.as_ref().map(|author| clean(&author.login, MAX_TITLE_CHARS)),
            updated: to_timestamp(open.updated_at),
            read: self.plan.now,
            signals: Signals::compute(&opened, &activities),
            hash: content_hash(&content.into_iter().chain(newest).collect::<Vec<_>>()),
            failed: before.as_ref().and_then(|before| before.failed.clone()),
            summary: before.and_then(|before| before.summary),
        }
    }

    fn to_file(&self, item: &AnalysedItem, open: &OpenItem, remarks: &[Remark]) -> InputFile {
        let kind = match item.kind {
            ItemKind::Pulls if open.draft => "draft of a pull request",
            ItemKind::Pulls => "pull request",
            ItemKind::Issues => "issue",
        };
        let author = item.author.as_deref().unwrap_or("a deleted account");
        let day = |at: Timestamp| at.day();
        let text = truncate_lines(&remove_hidden(&open.text), MAX_TEXT_CHARS);
        let mut content = format!(
            "# {kind} {}: {}\n\nBy {author}, opened {}, last activity of a user {}, {}, waits for: {}.\n\n{text}\n\nNewest comments and reviews, the newest first:\n",
            item.number,
            item.title,
            day(to_timestamp(open.created_at)),
            day(item.signals.last_at),
            item.signals.approval.label(),
            item.signals.waiting_on().label(),
        );
        for remark in newest(remarks) {
            let verb = match remark.activity.kind {
                ActivityKind::Comment | ActivityKind::Review => "commented",
                ActivityKind::Approval => "approved",
                ActivityKind::ChangeRequest => "requested changes",
                ActivityKind::Dismissed => "gave a verdict that was dismissed",
            };
            content.push_str(&format!("\n{} {verb} on {}:\n{}\n", remark.author, day(remark.activity.at), remark.text));
        }
        let content = self.attempt.redactor.redact_text(&content).into_owned();
        InputFile { name: format!("{}.md", item.number), content: truncate_lines(&content, MAX_FILE_CHARS) }
    }
}

fn needs_summary(item: &AnalysedItem) -> bool {
    !item.has_current_summary() && !item.is_failed()
}

pub(super) fn size_bytes(report: &AnalysisReport) -> usize {
    serde_json::to_vec(report).map_or(usize::MAX, |json| json.len())
}

fn newest(remarks: &[Remark]) -> impl Iterator<Item = &Remark> {
    remarks.iter().rev().take(MAX_REMARKS)
}

fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn to_timestamp(time: Time) -> Timestamp {
    Timestamp::from_millis(time.millis())
}
