//! Dead letters: messages that failed too often, and advice for each.
//!
//! The sweeper repeats the work of every wake-up from the table. The exceptions are a queued review, which only its
//! message contains, and the stop of a task, which is reported once.

use crate::id::{JobId, ProjectId};
use crate::pull_request::label;
use crate::task_stopped::{TaskStopped, Undone};
use crate::wakeup::{Effect, QueuedReview};
use serde::{Deserialize, Serialize};

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    Dispatch,
    /// Effects, processed in order per ticket, job or pull request.
    Effects,
    /// Task stops that the tasks function did not receive or failed on. EventBridge and Lambda send them here directly.
    Undelivered,
}

impl Queue {
    pub const ALL: [Self; 3] = [Self::Dispatch, Self::Effects, Self::Undelivered];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Effects => "effects",
            Self::Undelivered => "undelivered",
        }
    }
}

#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// No job depends on the message.
    Drop,
    /// The sweeper does the same work a little later anyway.
    Either,
    /// Only this message contains its information.
    Redrive,
    /// This version cannot parse it; another version may. A person must decide.
    Look,
}

impl Advice {
    pub fn words(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Either => "either",
            Self::Redrive => "redrive",
            Self::Look => "look",
        }
    }

    pub fn help(self) -> &'static str {
        match self {
            Self::Drop => "Drop it.",
            Self::Either => "Redrive it to do the work now, or drop it: the sweeper does the same work from the table.",
            Self::Redrive => "Fix the error in the function's log, then redrive it: only this message has the event.",
            Self::Look => {
                "If a newer version queued it, deploy that version, then redrive it; otherwise drop it by its id."
            }
        }
    }
}

/// The subject of a message.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    Job,
    Ticket,
    PullRequest,
    Repository,
    Review,
    Unknown,
}

/// A dead letter as this version parses it.
#[derive(Clone, Debug)]
pub enum Message {
    /// Start or stop a task of a job.
    Start(JobId),
    Effect(Effect),
    /// Record the stop of a job's task.
    Death(Undone, Box<TaskStopped>),
    /// The stop of a task that no job started.
    DeathOfOther(Undone),
    /// Invalid, or from another version.
    Unreadable,
}

impl Message {
    pub fn advice(&self) -> Advice {
        match self {
            Self::Effect(Effect::Review(_)) | Self::Death(..) => Advice::Redrive,
            Self::Start(_) | Self::Effect(_) => Advice::Either,
            Self::DeathOfOther(_) => Advice::Drop,
            Self::Unreadable => Advice::Look,
        }
    }

    pub fn about(&self) -> About {
        match self {
            Self::Start(_) | Self::Effect(Effect::Admit(_)) | Self::Death(..) => About::Job,
            Self::Effect(Effect::Settle(_)) => About::Ticket,
            Self::Effect(Effect::Tell(_)) => About::PullRequest,
            Self::Effect(Effect::Poll(_)) => About::Repository,
            Self::Effect(Effect::Review(_)) => About::Review,
            Self::DeathOfOther(_) | Self::Unreadable => About::Unknown,
        }
    }

    /// The subject's name as CLI commands accept it.
    pub fn name(&self) -> Option<String> {
        Some(match self {
            Self::Start(job) => job.to_string(),
            Self::Death(_, stopped) => stopped.job.to_string(),
            Self::Effect(Effect::Admit(wakeup)) => wakeup.job.to_string(),
            Self::Effect(Effect::Settle(wakeup)) => wakeup.ticket.to_string(),
            Self::Effect(Effect::Tell(wakeup)) => wakeup.pull_request.to_string(),
            Self::Effect(Effect::Poll(wakeup)) => format!("{}/{}", wakeup.integration, wakeup.repository),
            Self::Effect(Effect::Review(queued)) => reviewed(queued),
            Self::DeathOfOther(_) | Self::Unreadable => return None,
        })
    }

    pub fn project(&self) -> Option<&ProjectId> {
        match self {
            Self::Effect(Effect::Settle(wakeup)) => Some(&wakeup.project),
            Self::Effect(Effect::Poll(wakeup)) => Some(&wakeup.poll),
            _ => None,
        }
    }

    /// The intended effect, in one sentence.
    pub fn sentence(&self) -> String {
        let name = self.name().unwrap_or_default();
        match self {
            Self::Start(_) => format!("Starts or stops a task for job {name}."),
            Self::Effect(Effect::Admit(_)) => format!("Reads the reviews of job {name}."),
            Self::Effect(Effect::Settle(_)) => format!("Settles {name}."),
            Self::Effect(Effect::Tell(_)) => format!("Reports the state on {name}."),
            Self::Effect(Effect::Poll(_)) => format!("Polls repository {name}."),
            Self::Effect(Effect::Review(_)) => format!("Decides a review of {name}."),
            Self::Death(why, _) => format!("The tasks function {} when a task of job {name} stopped.", why.words()),
            Self::DeathOfOther(why) => {
                format!("The tasks function {} when a task stopped that no job had started.", why.words())
            }
            Self::Unreadable => "This version of Pullyard can't read it.".into(),
        }
    }
}

fn reviewed(queued: &QueuedReview) -> String {
    label(Some(&queued.event.pull_request.repository), queued.event.pull_request.id.number)
}
