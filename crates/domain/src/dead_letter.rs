//! Messages that failed too often: what each would have done, and what to do with it.
//!
//! Every wake-up is a hint, and the sweeper does what it asked for. A queued review is known only to its message, and
//! the death of a task is reported once.

use crate::id::{JobId, ProjectId};
use crate::pull_request::label;
use crate::task_stopped::{TaskStopped, Undone};
use crate::wakeup::{Effect, QueuedReview};
use serde::{Deserialize, Serialize};

/// A queue that has dead letters.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// What starts tasks.
    Dispatch,
    /// What is worked through in turn by ticket, job or pull request.
    Effects,
    /// Deaths of tasks that the tasks function did not get, or failed on. No queue of ours leads there.
    Undelivered,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dispatch, Self::Effects, Self::Undelivered];

    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dispatch => "dispatch",
            Self::Effects => "effects",
            Self::Undelivered => "undelivered",
        }
    }
}

/// What to do with a dead letter.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Nothing depends on it.
    Drop,
    /// The sweeper does what it asks for anyway, a little later.
    Either,
    /// Only this message carries it.
    Redrive,
    /// This version can't read it, and another one may: a person has to look.
    Look,
}

impl Advice {
    /// As tables show it, and as the wire has it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Either => "either",
            Self::Redrive => "redrive",
            Self::Look => "look",
        }
    }

    /// What a person does.
    pub fn help(self) -> &'static str {
        match self {
            Self::Drop => "Drop it.",
            Self::Either => "Redrive it to have that done now, or drop it: the sweeper does the same from the table.",
            Self::Redrive => "Repair what its log names, then redrive it: only this message carries it.",
            Self::Look => "If a newer version queued it, deploy that one and redrive it then; else drop it by its id.",
        }
    }
}

/// What a message was about.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A job.
    Job,
    /// A ticket.
    Ticket,
    /// A pull request.
    PullRequest,
    /// A repository that is looked at.
    Repository,
    /// A review that is decided in turn.
    Review,
    /// Nothing that this version knows.
    Unknown,
}

/// A dead letter, as far as this version can read it.
#[derive(Clone, Debug)]
pub enum Message {
    /// A task was to be started for a job, or stopped.
    Start(JobId),
    /// What the effects queue carries.
    Effect(Effect),
    /// The death of a job's task was to be noted.
    Death(Undone, Box<TaskStopped>),
    /// The same of a task that no job started.
    DeathOfOther(Undone),
    /// Not a message of ours, or of another version.
    Unreadable,
}

impl Message {
    /// What to do with it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Effect(Effect::Review(_)) | Self::Death(..) => Advice::Redrive,
            Self::Start(_) | Self::Effect(_) => Advice::Either,
            Self::DeathOfOther(_) => Advice::Drop,
            Self::Unreadable => Advice::Look,
        }
    }

    /// What kind of thing it was about.
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

    /// The name of that thing, as commands take it.
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

    /// Its project, where the message names one.
    pub fn project(&self) -> Option<&ProjectId> {
        match self {
            Self::Effect(Effect::Settle(wakeup)) => Some(&wakeup.project),
            Self::Effect(Effect::Poll(wakeup)) => Some(&wakeup.poll),
            _ => None,
        }
    }

    /// What it would have done, in one sentence.
    pub fn sentence(&self) -> String {
        let name = self.name().unwrap_or_default();
        match self {
            Self::Start(_) => format!("It would have started or stopped a task for job {name}."),
            Self::Effect(Effect::Admit(_)) => format!("It would have read the reviews of job {name}."),
            Self::Effect(Effect::Settle(_)) => format!("It would have settled {name}."),
            Self::Effect(Effect::Tell(_)) => format!("It would have written on {name}."),
            Self::Effect(Effect::Poll(_)) => format!("It would have looked at repository {name}."),
            Self::Effect(Effect::Review(_)) => format!("It would have decided a review of {name}."),
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
