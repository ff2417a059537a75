//! Computes the times of a schedule in its time zone.
//! A skipped local time becomes the first instant after the gap, and a repeated one the first of its two instants.

use super::{Schedule, ScheduleSpec};
use crate::text::parse_seconds;
use crate::text::setting_fault::{SettingFault, fault};
use crate::text::time::{Timestamp, WireTime};
use cronexpr::{FallbackTimezoneOption, ParseOptions, parse_crontab_with};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp as Instant, ToSpan};
use sha2::{Digest, Sha256};
use std::iter::successors;
use std::time::Duration;

pub(super) const MIN_INTERVAL: Duration = Duration::from_secs(300);

/// How late a schedule may start after the server was down.
const MAX_DELAY: Duration = Duration::from_secs(3_600);

/// How late a schedule may start after its window. The sweeper comes each minute, and two minutes after a failure.
const MAX_WINDOW_DELAY: Duration = Duration::from_secs(120);

/// The end of a window without computed times, because the sweeper needs time.
const WINDOW_MARGIN_SECS: u64 = 180;

/// A time of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct ScheduleTime {
    /// The instant.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// The same in the schedule's zone.
    pub local: String,
}

impl Schedule {
    /// The first time after `after`, or at it in a window. `last` is the time before.
    pub(super) fn next_after(&self, after: Timestamp, last: Option<Timestamp>) -> Result<Timestamp, SettingFault> {
        let ScheduleSpec { analyse, template, params, each_repository, every, cron, window, cooldown, .. } = &self.spec;
        if *analyse == template.is_some() {
            return fault("/analyse", "set either `analyse` or `template`");
        }
        if *analyse && (*each_repository || !params.is_empty()) {
            return fault("/template", "only the runs of a template have `params` and `each_repository`");
        }
        let zone = self.zone()?;
        match (every, cron, window, cooldown) {
            (Some(every), None, None, None) => {
                let (every, from) = (parse_interval("/every", every)?, last.unwrap_or(after));
                let periods = after.since(from).as_secs() / every.as_secs() + 1;
                Ok(from.plus(Duration::from_secs(every.as_secs() * periods)))
            }
            (None, Some(cron), None, None) => next_of_cron(&zone, cron, after),
            (None, None, Some(window), Some(cooldown)) => {
                let cooldown = parse_interval("/cooldown", cooldown)?;
                let from = last.map_or(after, |last| after.max(last.plus(cooldown)));
                let (opens, closes) = find_window(&zone, window, from)?;
                // Spreads the schedules of all projects over the window.
                let digest = Sha256::digest(self.id.to_string());
                let hash = digest.iter().take(4).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
                let spread = closes.since(opens).as_secs().saturating_sub(WINDOW_MARGIN_SECS).max(1);
                Ok(opens.plus(Duration::from_secs(hash % spread)).max(from))
            }
            (None, None, Some(_), None) => fault("/cooldown", "set the least time between two starts: 20h"),
            _ => fault("/every", "set exactly one of every, cron, and window with cooldown"),
        }
    }

    /// Whether the latest due time is recent enough to start. All earlier ones are dropped.
    pub fn is_in_time(&self, now: Timestamp) -> Result<bool, SettingFault> {
        let Some(at) = self.latest(now) else { return Ok(false) };
        Ok(self.begun
            || match &self.spec.window {
                Some(window) => now < find_window(&self.zone()?, window, at)?.1.plus(MAX_WINDOW_DELAY),
                None => now.since(at) <= MAX_DELAY,
            })
    }

    /// The last time until `now`, or the next one.
    pub(super) fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        let next = |at: &Timestamp| self.next_after(*at, Some(*at)).ok().filter(|next| *next <= now);
        successors(self.next, next).last()
    }

    /// The next five times. For a paused schedule: as if it were resumed now.
    pub fn upcoming(&self, now: Timestamp) -> Result<Vec<ScheduleTime>, SettingFault> {
        let zone = self.zone()?;
        let resumed = Self { paused: false, ..self.clone() };
        let first = if self.next.is_some() { self.next } else { resumed.reschedule(now)?.next };
        let times = successors(first, |at| self.next_after(*at, Some(*at)).ok()).take(5);
        let local = |at| zone.to_datetime(to_instant(at)).strftime("%Y-%m-%d %H:%M").to_string();
        Ok(times.map(|at| ScheduleTime { at, local: local(at) }).collect())
    }

    fn zone(&self) -> Result<TimeZone, SettingFault> {
        let zone = TimeZoneDatabase::bundled().get(self.spec.zone.as_deref().unwrap_or("UTC"));
        zone.or_else(|_| fault("/zone", "use a zone of the IANA database, such as Europe/Berlin"))
    }
}

fn parse_interval(pointer: &'static str, text: &str) -> Result<Duration, SettingFault> {
    match parse_seconds(text, "mhd") {
        Some(secs @ 300..=2_678_400) => Ok(Duration::from_secs(secs)),
        _ => fault(pointer, "use 5m to 31d, such as 30m, 6h or 7d"),
    }
}

/// The library searches the fields in local time, without a zone: for a sixth field, it would read files.
fn next_of_cron(zone: &TimeZone, text: &str, after: Timestamp) -> Result<Timestamp, SettingFault> {
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    let has_five = text.split_whitespace().count() == 5;
    let Some(cron) = has_five.then(|| parse_crontab_with(text, options).ok()).flatten() else {
        return fault("/cron", "use five fields, such as 0 3 * * 1-5");
    };
    if text.to_uppercase().replace("JUL", "").replace("WED", "").contains(['L', 'W', '#']) {
        return fault("/cron", "use days without L, W and #");
    }
    let next = |local: &DateTime| Some(cron.find_next(TimeZone::UTC.to_timestamp(*local).ok()?).ok()?.datetime());
    // In a repeated hour, the first instants are past.
    let mut times =
        successors(next(&zone.to_datetime(to_instant(after))), next).map_while(|local| resolve(zone, local));
    times.find(|at| *at > after).map_or_else(|| fault("/cron", "use a time that occurs within four years"), Ok)
}

/// The first window that ends after `from`.
fn find_window(zone: &TimeZone, text: &str, from: Timestamp) -> Result<(Timestamp, Timestamp), SettingFault> {
    let minute = |text: &str| Time::strptime("%H:%M", text).ok();
    let parts = text.split_once('-').and_then(|(first, last)| Some((minute(first)?, minute(last)?)));
    let Some((start, last)) = parts else { return fault("/window", "use first and last minute, such as 02:00-02:59") };
    let end = last.wrapping_add(1.minute());
    // The window of the day before may cross midnight.
    let yesterday = zone.to_datetime(to_instant(from)).date().yesterday().ok();
    let mut windows = successors(yesterday, |day: &Date| day.tomorrow().ok()).map_while(|day| {
        let opens = day.to_datetime(start);
        let closes = if end > start { day } else { day.tomorrow().ok()? }.to_datetime(end);
        let length = Duration::try_from(closes.duration_since(opens)).ok()?;
        let (opens, closes) = (resolve(zone, opens)?, resolve(zone, closes)?);
        // A window that the zone skips follows the gap.
        Some((opens, if closes > opens { closes } else { opens.plus(length) }))
    });
    windows.find(|(_, closes)| *closes > from).map_or_else(|| fault("/window", "use a window that occurs"), Ok)
}

fn resolve(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let is_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let earlier = ambiguous.earlier().ok()?;
    let at = if is_gap { zone.following(earlier).next()?.timestamp() } else { earlier };
    Some(Timestamp::from_millis(at.as_millisecond()))
}

fn to_instant(at: Timestamp) -> Instant {
    Instant::from_millisecond(at.millis()).unwrap_or(Instant::UNIX_EPOCH)
}
