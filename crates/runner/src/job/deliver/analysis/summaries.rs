//! Lets the agent summarise items, some at each start, within the cost limit of the analysis.

use super::items::{ReadItems, size_bytes};
use crate::attempt::Attempt;
use crate::git::workspace::Workspace;
use crate::job::deliver::agent_output::Loaded;
use crate::job::work::MAX_REPAIRS;
use crate::output::{self, InputFile};
use pullyard_domain::review::analysis::{
    AnalysisReport, ItemKind, ItemSummary, MAX_REPORT_BYTES, MAX_SUMMARY_BYTES, SummaryOutput,
};
use pullyard_domain::review::output::{OUTPUT_FILE, OutputFault};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::untrusted::{remove_hidden, to_single_line};
use pullyard_protocol::attempt::AssignedAnalysis;

const ITEMS_PER_START: usize = 20;

pub(super) struct Summaries<'a> {
    attempt: &'a Attempt<'a>,
    workspace: &'a Workspace,
    cost_limit: u64,
    now: Timestamp,
    pub(super) report: AnalysisReport,
    /// The item with the oldest summary is last.
    pending: Vec<((ItemKind, u64), InputFile)>,
    /// The items of the current start.
    current: Vec<(ItemKind, u64)>,
    pub(super) starts: u64,
    /// Starts without one, despite repairs.
    skipped: u32,
    /// Wrong outputs of the current start.
    faults: u32,
}

impl<'a> Summaries<'a> {
    pub(super) fn new(
        attempt: &'a Attempt<'a>,
        workspace: &'a Workspace,
        plan: &AssignedAnalysis,
        read: ReadItems,
    ) -> Self {
        let job_limit = attempt.assignment.limits.cost_usd_micros.unwrap_or(u64::MAX);
        let ReadItems { report, mut texts } = read;
        let mut items: Vec<_> = report.items.iter().collect();
        // The newest items come first among those without a summary.
        items.sort_by_key(|item| item.summary.as_ref().map(|summary| summary.at));
        let keys = items.into_iter().map(|item| (item.kind, item.number));
        let mut pending: Vec<_> = keys.filter_map(|key| Some((key, texts.remove(&key)?))).collect();
        pending.reverse();
        Self {
            attempt,
            workspace,
            cost_limit: plan.cost_usd_micros.min(job_limit),
            now: plan.now,
            report,
            pending,
            current: Vec::new(),
            starts: 0,
            skipped: 0,
            faults: 0,
        }
    }

    /// The input files of the next start. `None` if all items have a summary, or the start would exceed a limit.
    pub(super) fn next_files(&mut self) -> Option<Vec<InputFile>> {
        if self.pending.is_empty() {
            return None;
        }
        let limit = match () {
            () if self.would_exceed_cost() => "cost limit",
            // A start whose summaries have no room would be paid again by each analysis.
            () if size_bytes(&self.report) + ITEMS_PER_START * MAX_SUMMARY_BYTES > MAX_REPORT_BYTES => {
                "size of the report"
            }
            () => "",
        };
        if !limit.is_empty() {
            let count = self.pending.len();
            self.attempt.events.log(format!("The {limit} leaves {count} items without a new summary."));
            return None;
        }
        let first = self.pending.len().saturating_sub(ITEMS_PER_START);
        let (keys, files) = self.pending.drain(first..).rev().unzip();
        self.current = keys;
        self.starts += 1;
        Some(files)
    }

    /// By the mean cost of the starts so far.
    fn would_exceed_cost(&self) -> bool {
        let spent = self.attempt.work_report().1.unwrap_or_default();
        self.cost_limit == 0 || spent.saturating_add(spent / self.starts.max(1)) > self.cost_limit
    }

    /// Marks the items without a correct summary as failed, so that only the first analysis pays for them. Errors: a
    /// fault to repair.
    pub(super) async fn load(&mut self) -> Result<Loaded<()>, OutputFault> {
        let fault = self.add_summaries().await.err();
        if let Some(fault) = fault {
            self.faults += 1;
            if self.faults <= MAX_REPAIRS {
                return Err(fault);
            }
            self.skipped += 1;
            self.attempt.events.log(format!("The items of this start have no new summary: {fault}."));
        }
        self.faults = 0;
        for item in self.report.items.iter_mut().filter(|item| self.current.contains(&(item.kind, item.number))) {
            item.failed = (!item.has_current_summary()).then(|| item.hash.clone());
        }
        let next = if self.skipped > 1 { None } else { self.next_files() };
        Ok(next.map_or(Loaded::Complete(()), Loaded::Next))
    }

    async fn add_summaries(&mut self) -> Result<(), OutputFault> {
        let output: SummaryOutput =
            output::load(self.workspace, OUTPUT_FILE).await?.ok_or_else(OutputFault::missing)?;
        let clean = |text: &str| {
            to_single_line(&self.attempt.redactor.redact_text(&remove_hidden(text)), usize::MAX).trim().to_owned()
        };
        let output = output.map_texts(clean);
        output.check()?;
        let at = self.now;
        for new in output.items {
            let is_current = |key: &(ItemKind, u64)| key.1 == new.number && self.current.contains(key);
            let item = self.report.items.iter_mut().find(|item| is_current(&(item.kind, item.number)));
            if let Some(item) = item {
                let (text, next_step, of) = (new.summary, new.next_step, item.hash.clone());
                item.summary = Some(ItemSummary { text, next_step, risk: new.risk, at, of });
            }
        }
        Ok(())
    }
}
