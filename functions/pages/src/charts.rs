//! The numbers behind the charts of the overview.

use pullyard_domain::job::JobStatus;
use pullyard_domain::project::budget::Day;
use pullyard_domain::text::capitalize;
use pullyard_domain::text::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

pub const DAYS: usize = 30;

/// Size of a chart, as in its `viewBox`.
pub const WIDTH: u64 = 720;
pub const HEIGHT: u64 = 84;

const SLOT: u64 = WIDTH / DAYS as u64;

const BAR_WIDTH: u64 = 14;

const GAP: u64 = 2;

const MIN_BAR_HEIGHT: u64 = 2;

#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub at: Timestamp,
    pub status: JobStatus,
    pub took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayNumbers {
    pub day: Day,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// The median time of the completed jobs.
    pub median: Option<Duration>,
    pub longest: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    pub x: u64,
    pub y: u64,
    pub width: u64,
    pub height: u64,
}

pub fn first_day(now: Timestamp) -> Day {
    Day::containing(now.minus(Duration::from_secs((DAYS as u64 - 1) * 24 * 3_600)))
}

/// The last `DAYS` days including `today`, oldest first.
pub fn by_day(endings: &[Ending], today: Day) -> Vec<DayNumbers> {
    let mut day = today;
    let mut days = Vec::with_capacity(DAYS);
    for _ in 0..DAYS {
        days.push(count_day(endings, day));
        day = Day::containing(day.start().minus(Duration::from_secs(1)));
    }
    days.reverse();
    days
}

fn count_day(endings: &[Ending], day: Day) -> DayNumbers {
    let of_day = || endings.iter().filter(|ending| Day::containing(ending.at) == day);
    let count = |status| of_day().filter(|ending| ending.status == status).count() as u64;
    let completed = of_day().filter(|ending| ending.status == JobStatus::Completed);
    let mut took: Vec<_> = completed.map(|ending| ending.took).collect();
    took.sort();
    DayNumbers {
        day,
        completed: count(JobStatus::Completed),
        failed: count(JobStatus::Failed),
        cancelled: count(JobStatus::Cancelled),
        median: median(&took),
        longest: took.last().copied(),
    }
}

pub fn median(sorted: &[Duration]) -> Option<Duration> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2)
}

/// Two stacked bars per slot: the lower and the upper ones. The highest stack fills the chart; zeros have no bar.
pub fn stacked_bars(lower: &[u64], upper: &[u64]) -> (Vec<Bar>, Vec<Bar>) {
    let highest = lower.iter().zip(upper).map(|(lower, upper)| lower + upper).max().unwrap_or_default();
    let height = |value: u64| match value {
        0 => 0,
        _ => (value * (HEIGHT - GAP - MIN_BAR_HEIGHT) / highest).max(MIN_BAR_HEIGHT),
    };
    let bar = |slot: usize, bottom: u64, height: u64| Bar {
        x: slot as u64 * SLOT + (SLOT - BAR_WIDTH) / 2,
        y: HEIGHT.saturating_sub(bottom + height),
        width: BAR_WIDTH,
        height,
    };
    let (mut low, mut high) = (Vec::new(), Vec::new());
    for (slot, (lower, upper)) in lower.iter().zip(upper).enumerate() {
        let (lower, upper) = (height(*lower), height(*upper));
        if lower > 0 {
            low.push(bar(slot, 0, lower));
        }
        if upper > 0 {
            let bottom = if lower > 0 { lower + GAP } else { 0 };
            high.push(bar(slot, bottom, upper));
        }
    }
    (low, high)
}

pub fn bars(values: &[u64]) -> Vec<Bar> {
    stacked_bars(values, &vec![0; values.len()]).0
}

/// Rounded down; at most 100, and 0 of nothing.
pub fn percent(part: u64, whole: u64) -> u64 {
    (part.min(whole) * 100).checked_div(whole).unwrap_or_default()
}

pub fn most_frequent<'a>(names: impl Iterator<Item = &'a str>, most: usize) -> Vec<(&'a str, u64)> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.truncate(most);
    counts
}

/// `checks_failed` as `Checks failed`.
pub fn label_of_code(code: &str) -> String {
    capitalize(&code.replace('_', " "))
}
