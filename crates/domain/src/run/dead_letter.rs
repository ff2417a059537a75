//! Dead letters: messages that failed too often, and advice for each.
//! The sweeper repeats the work of every wake-up from the table. The exceptions are a queued review and a submission,
//! which only their messages contain, and the stop of a task, which is reported once.

use crate::job::task_stop::{TaskStop, UnhandledCause};
use crate::project::template::Submission;
use crate::run::wakeup::EffectMessage;
use crate::text::code::coded_enum;
use crate::text::id::{JobId, ProjectId};
use serde::{Deserialize, Serialize};

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Queue {
        Dispatch = "dispatch";
        /// Effects, processed in order per ticket, job or pull request.
        Effects = "effects";
        /// Calls to addresses of users, two at once for each host or connection.
        Calls = "calls";
        /// Starts of templates, which other programs and accounts send.
        Submissions = "submissions";
        /// Task stops that the tasks function did not receive or failed on. EventBridge and Lambda send them here
        /// directly.
        Undelivered = "undelivered";
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
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
    pub fn label(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Either => "either",
            Self::Redrive => "redrive",
            Self::Look => "inspect",
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "About")]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Job,
    Ticket,
    PullRequest,
    Repository,
    Review,
    Notice,
    Run,
    Template,
    Unknown,
}

#[derive(Clone, Debug)]
pub enum DeadLetterMessage {
    Start(JobId),
    Effect(EffectMessage),
    Submission(Submission),
    TaskStop(UnhandledCause, Box<TaskStop>),
    ForeignTaskStop(UnhandledCause),
    Unreadable,
}

impl DeadLetterMessage {
    pub fn advice(&self) -> Advice {
        match self {
            Self::Effect(EffectMessage::Review(_)) | Self::Submission(_) | Self::TaskStop(..) => Advice::Redrive,
            Self::Start(_) | Self::Effect(_) => Advice::Either,
            Self::ForeignTaskStop(_) => Advice::Drop,
            Self::Unreadable => Advice::Look,
        }
    }

    pub fn subject(&self) -> Subject {
        match self {
            Self::Start(_) | Self::Effect(EffectMessage::Admit(_)) | Self::TaskStop(..) => Subject::Job,
            Self::Effect(EffectMessage::Settle(_) | EffectMessage::Look(_)) => Subject::Ticket,
            Self::Effect(EffectMessage::Tell(_)) => Subject::PullRequest,
            Self::Effect(EffectMessage::Poll(_)) => Subject::Repository,
            Self::Effect(EffectMessage::Review(_)) => Subject::Review,
            Self::Effect(EffectMessage::Notify(_)) => Subject::Notice,
            Self::Effect(EffectMessage::Advance(_)) => Subject::Run,
            Self::Submission(_) => Subject::Template,
            Self::ForeignTaskStop(_) | Self::Unreadable => Subject::Unknown,
        }
    }

    /// The subject's name as CLI commands accept it.
    pub fn subject_name(&self) -> Option<String> {
        Some(match self {
            Self::Start(job) => job.to_string(),
            Self::TaskStop(_, stopped) => stopped.job.to_string(),
            Self::Effect(EffectMessage::Admit(wakeup)) => wakeup.job.to_string(),
            Self::Effect(EffectMessage::Settle(wakeup)) => wakeup.ticket.to_string(),
            Self::Effect(EffectMessage::Look(wakeup)) => wakeup.ticket.to_string(),
            Self::Effect(EffectMessage::Tell(wakeup)) => wakeup.pull_request.to_string(),
            Self::Effect(EffectMessage::Poll(wakeup)) => format!("{}/{}", wakeup.integration, wakeup.repository),
            Self::Effect(EffectMessage::Notify(wakeup)) => wakeup.notice.to_string(),
            Self::Effect(EffectMessage::Advance(wakeup)) => wakeup.advance.to_string(),
            Self::Effect(EffectMessage::Review(queued)) => queued.event.pull_request.label(),
            Self::Submission(submission) => submission.template.to_string(),
            Self::ForeignTaskStop(_) | Self::Unreadable => return None,
        })
    }

    pub fn project(&self) -> Option<&ProjectId> {
        match self {
            Self::Effect(EffectMessage::Settle(wakeup)) => Some(&wakeup.project),
            Self::Effect(EffectMessage::Look(wakeup)) => Some(&wakeup.look),
            Self::Effect(EffectMessage::Poll(wakeup)) => Some(&wakeup.poll),
            Self::Submission(submission) => Some(&submission.project),
            _ => None,
        }
    }

    pub fn sentence(&self) -> String {
        let name = self.subject_name().unwrap_or_default();
        match self {
            Self::Start(_) => format!("Starts or stops a task for job {name}."),
            Self::Effect(EffectMessage::Admit(_)) => format!("Reads the reviews of job {name}."),
            Self::Effect(EffectMessage::Settle(_)) => format!("Settles {name}."),
            Self::Effect(EffectMessage::Look(_)) => format!("Reads {name} in its ticket tool."),
            Self::Effect(EffectMessage::Tell(_)) => format!("Reports the state on {name}."),
            Self::Effect(EffectMessage::Poll(_)) => format!("Polls repository {name}."),
            Self::Effect(EffectMessage::Review(_)) => format!("Decides a review of {name}."),
            Self::Effect(EffectMessage::Notify(_)) => format!("Sends the notice {name}."),
            Self::Effect(EffectMessage::Advance(_)) => format!("Moves run {name}."),
            Self::Submission(Submission { id, .. }) => format!("Starts template {name} for submission {id}."),
            Self::TaskStop(cause, _) => {
                format!("The tasks function {} when a task of job {name} stopped.", cause.description())
            }
            Self::ForeignTaskStop(cause) => {
                format!("The tasks function {} when a task stopped that no job had started.", cause.description())
            }
            Self::Unreadable => "This version of Pullyard can't read it.".into(),
        }
    }
}
