//! A job and the end of its log, read at one time. In `pullyard up` all open pages of a job share it.

use super::tabs::Records;
use super::{LAST_EVENTS, Subject};
use crate::log::{Arrived, position};
use pullyard_control::{self as control, Context, Error};
use pullyard_domain::id::JobId;
use pullyard_protocol::event::Event;
use tokio::sync::OnceCell;

pub(crate) struct Snapshot {
    pub(super) subject: Subject,
    /// The events after `begin`, as attempt and number, up to `cursor`.
    begin: (u32, u64),
    events: Vec<Arrived>,
    pub(super) cursor: (u32, u64),
    /// The job has ended, and `events` contains its last one.
    pub(super) is_complete: bool,
    records: OnceCell<Records>,
}

impl Snapshot {
    pub(super) async fn load(ctx: &Context, id: &JobId, begin: (u32, u64)) -> Result<Self, Error> {
        let subject = Subject::load(ctx, id).await?;
        let read = control::list_events::<Event>(ctx, id, begin).await?;
        Ok(Self::new(subject, begin, read.events, read.cursor, read.is_complete))
    }

    pub(super) async fn load_end(ctx: &Context, id: &JobId) -> Result<Self, Error> {
        let subject = Subject::load(ctx, id).await?;
        let end = (subject.view.job.attempt, u64::MAX);
        let read = control::list_events_before::<Event>(ctx, &subject.view.job, end, LAST_EVENTS).await?;
        let begin = read.events.first().map(position).map_or(read.cursor, |(attempt, seq)| (attempt, seq - 1));
        Ok(Self::new(subject, begin, read.events, read.cursor, read.is_complete))
    }

    /// The next one, or `None` if nothing has changed and `refresh` is not set.
    pub(super) async fn load_next(&self, ctx: &Context, refresh: bool) -> Result<Option<Self>, Error> {
        let job = &self.subject.view.job;
        let read = control::list_events::<Event>(ctx, &job.id, self.cursor).await?;
        let is_same = read.rev == job.rev;
        if is_same && read.events.is_empty() && !refresh {
            return Ok(None);
        }
        // Other items explain why a job waits, so an equal revision suffices only for a running one.
        let subject = if is_same && job.status.is_active() {
            let mut subject = self.subject.clone();
            subject.view.now = ctx.clock.now();
            subject
        } else {
            Subject::load(ctx, &job.id).await?
        };
        let mut events = [&self.events[..], &read.events[..]].concat();
        let surplus = events.len().saturating_sub(LAST_EVENTS);
        let begin = surplus.checked_sub(1).and_then(|last| events.get(last)).map_or(self.begin, position);
        events.drain(..surplus);
        Ok(Some(Self::new(subject, begin, events, read.cursor, read.is_complete)))
    }

    fn new(
        subject: Subject,
        begin: (u32, u64),
        events: Vec<Arrived>,
        cursor: (u32, u64),
        read_whole_log: bool,
    ) -> Self {
        // The job was read before its events, and may have ended in between.
        let is_complete = read_whole_log && subject.view.job.status.is_terminal();
        Self { subject, begin, events, cursor, is_complete, records: OnceCell::new() }
    }

    /// `None` if older events are missing here.
    pub(super) fn events_after(&self, cursor: (u32, u64)) -> Option<&[Arrived]> {
        let first = self.events.partition_point(|event| position(event) <= cursor);
        self.events.get(first..).filter(|_| cursor >= self.begin)
    }

    /// Loaded once, with the last events.
    pub(super) async fn records(&self, ctx: &Context) -> Result<&Records, Error> {
        let load = async || {
            let last = self.subject.load_last_events(ctx).await?;
            self.subject.load_records(ctx, last).await
        };
        self.records.get_or_try_init(load).await
    }
}
