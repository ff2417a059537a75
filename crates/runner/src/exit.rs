//! How a run of the runner ends, and the exit code that says so.

/// How the run ended, when the runner itself did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The control plane knows how the attempt ended, whatever the outcome.
    Finished,
    NotOurs,
    /// The attempt was taken away while it ran; its work was thrown away.
    LeaseLost,
    /// A signal ended the run without a finish.
    Stopped,
}

impl Exit {
    /// The exit code of the process.
    pub fn code(self) -> u8 {
        match self {
            Self::Finished | Self::NotOurs | Self::LeaseLost => 0,
            // As a shell says it of a program that SIGTERM ended.
            Self::Stopped => 143,
        }
    }
}
