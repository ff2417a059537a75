//! How a run of the runner ends, and its exit code.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Finished,
    NotClaimed,
    LeaseLost,
    /// A signal ended the run without a finish.
    Stopped,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Finished | Self::NotClaimed | Self::LeaseLost => 0,
            // The exit code of a shell for a program that SIGTERM ended.
            Self::Stopped => 143,
        }
    }
}
