//! Raises of the limits of a ticket or pull request.

use super::{MIN_USD_MICROS, Spending, SpendingLimits};
use crate::project::budget::{MAX_USD_MICROS, format_usd, parse_usd_micros};
use crate::text::format_count;
use crate::text::time::Timestamp;
use crate::text::untrusted::to_single_line;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Raises that are stored at once. An expired one gives its place to a new one.
pub const MAX_RAISES: usize = 20;

/// Raises in force beyond which only an admin may raise, so that many small raises leave room for theirs.
pub const MAX_RAISES_WITHOUT_ADMIN: usize = 10;

const MAX_RAISE_JOBS: u32 = 1_000;

pub const DEFAULT_RAISE_TIME: Duration = Duration::from_secs(7 * 24 * 3_600);

pub const MAX_RAISE_TIME: Duration = Duration::from_secs(30 * 24 * 3_600);

/// An addition to the limits until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The id of the request or comment, so that its repeat raises nothing.
    pub id: String,
    pub by: String,
    pub at: Timestamp,
    pub usd_micros: u64,
    pub jobs: u32,
    pub until: Timestamp,
}

impl Raise {
    /// The raised limits: `$70.00`, `25 jobs`, or both. `limits`: those in force.
    pub fn describe_limit(&self, limits: &SpendingLimits) -> String {
        let usd = limits.usd_micros.filter(|_| self.usd_micros > 0).map(format_usd);
        let jobs = limits.jobs.filter(|_| self.jobs > 0).map(|jobs| format_count(jobs, "job"));
        usd.into_iter().chain(jobs).collect::<Vec<_>>().join(" and ")
    }

    /// The values that a repeat has in common with the first request.
    fn content(&self) -> (u64, u32, Duration) {
        (self.usd_micros, self.jobs, self.until.since(self.at))
    }
}

/// The right of the person who raises a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseRight {
    /// Any amount.
    Admin,
    /// All raises in force add up to at most the limit itself.
    Jobs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaiseResult {
    Raised(Spending),
    /// This raise is stored.
    Repeat,
    /// Another raise with this id is stored.
    KeyReused,
}

/// A raise that is refused: the field of the request, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaiseFault {
    pub pointer: &'static str,
    pub fault: String,
}

/// The amount of a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaiseAmount {
    /// Units: millionths of a US dollar.
    pub usd_micros: u64,
    pub jobs: u32,
}

impl RaiseAmount {
    /// Parses the first line of a comment: `/pullyard raise 20` in dollars, or `/pullyard raise 5 jobs`. `None` for
    /// another comment, and for an indented line, which is code. The case of letters and invisible characters do not
    /// matter.
    pub fn parse_comment(text: &str) -> Option<Result<Self, String>> {
        let first = text.lines().next()?;
        if first.starts_with("    ") || first.starts_with('\t') {
            return None;
        }
        let first = to_single_line(first, usize::MAX).to_ascii_lowercase();
        let words: Vec<&str> = first.split_whitespace().collect();
        let ["/pullyard", "raise", amount @ ..] = &words[..] else { return None };
        Some(match amount {
            [usd] => {
                parse_usd_micros(usd.strip_prefix('$').unwrap_or(usd)).map(|usd_micros| Self { usd_micros, jobs: 0 })
            }
            [jobs, "job" | "jobs"] => {
                jobs.parse().map(|jobs| Self { usd_micros: 0, jobs }).map_err(|_| "use a number of jobs".into())
            }
            _ => Err("write `/pullyard raise 20` for dollars, or `/pullyard raise 5 jobs`".into()),
        })
    }
}

impl SpendingLimits {
    /// The fault of a raise of a limit that the project does not have.
    pub fn missing_limit(&self, usd_micros: u64, jobs: u32) -> Option<RaiseFault> {
        let missing = |pointer, setting: &str| {
            Some(RaiseFault { pointer, fault: format!("the project has no `limits.{setting}` to raise") })
        };
        if usd_micros > 0 && self.usd_micros.is_none() {
            return missing("/usd_micros", "ticket_usd");
        }
        if jobs > 0 && self.jobs.is_none() { missing("/jobs", "ticket_jobs") } else { None }
    }
}

impl Spending {
    /// Adds a raise. An expired raise ends no job: a job keeps the money that it reserved.
    pub fn raise(&self, raise: Raise, limits: &SpendingLimits, right: RaiseRight) -> Result<RaiseResult, RaiseFault> {
        let fault = |pointer, fault: String| Err(RaiseFault { pointer, fault });
        if let Some(stored) = self.raises.iter().find(|stored| stored.id == raise.id) {
            let is_same = stored.content() == raise.content();
            return Ok(if is_same { RaiseResult::Repeat } else { RaiseResult::KeyReused });
        }
        if raise.usd_micros == 0 && raise.jobs == 0 {
            return fault("/usd_micros", "raise by at least $0.01 or one job".into());
        }
        if raise.usd_micros > 0 && !(MIN_USD_MICROS..=MAX_USD_MICROS).contains(&raise.usd_micros) {
            return fault("/usd_micros", "use $0.01 to $1,000,000".into());
        }
        if raise.jobs > MAX_RAISE_JOBS {
            return fault("/jobs", format!("use at most {MAX_RAISE_JOBS} jobs"));
        }
        if raise.until <= raise.at || raise.until > raise.at.plus(MAX_RAISE_TIME) {
            return fault("/for_secs", "use at most 30 days".into());
        }
        if let Some(missing) = limits.missing_limit(raise.usd_micros, raise.jobs) {
            return Err(missing);
        }
        let max = match right {
            RaiseRight::Admin => MAX_RAISES,
            RaiseRight::Jobs => MAX_RAISES_WITHOUT_ADMIN,
        };
        let mut raises = self.raises.clone();
        if raises.len() >= max {
            raises.retain(|stored| raise.at < stored.until);
        }
        if raises.len() >= max {
            let end = raises.iter().map(|stored| stored.until).min().unwrap_or(raise.at);
            let (pointer, setting) = match raise.usd_micros {
                0 => ("/jobs", "raise `limits.ticket_jobs` of the project"),
                _ => ("/usd_micros", "raise `limits.ticket_usd` of the project"),
            };
            let remedy = match right {
                RaiseRight::Admin => setting,
                RaiseRight::Jobs => "only the scope `admin` may add another",
            };
            return fault(pointer, format!("{max} raises are in force until {end}; {remedy}"));
        }
        let raised = Self { raises: [raises, vec![raise.clone()]].concat(), ..self.clone() };
        let in_force = raised.limits_in_force(limits, raise.at);
        if right == RaiseRight::Jobs {
            if let (Some(limit), Some(raised)) = (limits.usd_micros, in_force.usd_micros)
                && raise.usd_micros > 0
                && raised > limit.saturating_mul(2)
            {
                let rule = format!("without the scope `admin`, all raises add up to at most {}", format_usd(limit));
                return fault("/usd_micros", rule);
            }
            if let (Some(limit), Some(raised)) = (limits.jobs, in_force.jobs)
                && raise.jobs > 0
                && raised > limit.saturating_mul(2)
            {
                let rule = format!("without the scope `admin`, all raises add up to at most {limit} jobs");
                return fault("/jobs", rule);
            }
        }
        Ok(RaiseResult::Raised(raised))
    }
}
