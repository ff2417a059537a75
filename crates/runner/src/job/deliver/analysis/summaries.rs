//! Lets the agent summarise items, some at each start, within the cost limit of the analysis.

use super::items::ReadItems;
use crate::git::workspace::Workspace;
use crate::job::attempt::Attempt;
use crate::job::deliver::agent_output::Loaded;
use crate::output::{self, InputFile};
use pullyard_domain::analysis::{AnalysisReport, ItemKind, ItemSummary, SummaryOutput};
use pullyard_domain::output::{OUTPUT_FILE, OutputFault};
use pullyard_domain::prompt::untrusted::{remove_hidden, to_single_line};
use pullyard_domain::time::Timestamp;
use std::time::SystemTime;

const ITEMS_PER_START: usize = 20;

pub(super) struct Summaries<'a> {
    attempt: &'a Attempt<'a>,
    workspace: &'a Workspace,
    cost_limit: u64,
    pub(super) report: AnalysisReport,
    /// The item with the oldest summary is last.
    pending: Vec<((ItemKind, u64), InputFile)>,
    /// The items of the current start.
    current: Vec<(ItemKind, u64)>,
    starts: u64,
}

impl<'a> Summaries<'a> {
    pub(super) fn new(attempt: &'a Attempt<'a>, workspace: &'a Workspace, cost_limit: u64, read: ReadItems) -> Self {
        let ReadItems { report, mut texts } = read;
        let mut items: Vec<_> = report.items.iter().collect();
        // The newest items come first among those without a summary.
        items.sort_by_key(|item| item.summary.as_ref().map(|summary| summary.at));
        let keys = items.into_iter().map(|item| (item.kind, item.number));
        let mut pending: Vec<_> = keys.filter_map(|key| Some((key, texts.remove(&key)?))).collect();
        pending.reverse();
        Self { attempt, workspace, cost_limit, report, pending, current: Vec::new(), starts: 0 }
    }

    /// The input files of the next start. `None` if all items have a summary, or the start would exceed the cost limit.
    pub(super) fn next_files(&mut self) -> Option<Vec<InputFile>> {
        if self.pending.is_empty() || self.would_exceed_limit() {
            return None;
        }
        let first = self.pending.len().saturating_sub(ITEMS_PER_START);
        let (keys, files) = self.pending.drain(first..).rev().unzip();
        self.current = keys;
        self.starts += 1;
        Some(files)
    }

    /// By the mean cost of the starts so far.
    fn would_exceed_limit(&self) -> bool {
        let spent = self.attempt.work_report().1.unwrap_or_default();
        let exceeds = self.starts > 0 && spent.saturating_add(spent / self.starts) > self.cost_limit;
        if exceeds {
            let count = self.pending.len();
            self.attempt.events.log(format!("The cost limit leaves {count} items without a new summary."));
        }
        exceeds
    }

    pub(super) async fn load(&mut self) -> Result<Loaded<()>, OutputFault> {
        let output: SummaryOutput = output::load(self.workspace, OUTPUT_FILE).await?.ok_or_else(OutputFault::missing)?;
        let clean = |text: &str| {
            to_single_line(&self.attempt.redactor.redact_text(&remove_hidden(text)), usize::MAX).trim().to_owned()
        };
        let output = output.map_texts(clean);
        output.check()?;
        let at: Timestamp = SystemTime::now().into();
        for new in output.items {
            let is_current = |key: &(ItemKind, u64)| key.1 == new.number && self.current.contains(key);
            let item = self.report.items.iter_mut().find(|item| is_current(&(item.kind, item.number)));
            if let Some(item) = item {
                let (text, next_step, of) = (new.summary, new.next_step, item.hash.clone());
                item.summary = Some(ItemSummary { text, next_step, risk: new.risk, at, of });
            }
        }
        Ok(self.next_files().map_or(Loaded::Complete(()), Loaded::Next))
    }
}
