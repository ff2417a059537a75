//! Receives the signals that end a long-running command: SIGINT, SIGTERM, SIGHUP.

use std::io::{self, IsTerminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Interrupt,
    Terminate,
    HangUp,
}

pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// `None` without a terminal, so that `nohup` works.
    hang_up: Option<Signal>,
}

impl Ends {
    pub(crate) fn listen() -> io::Result<Self> {
        let is_shown = io::stdout().is_terminal() || io::stderr().is_terminal();
        let hang_up = if is_shown { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    pub(crate) async fn next(&mut self) -> End {
        let Self { interrupt, terminate, hang_up } = self;
        let hung_up = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => End::Interrupt,
            _ = terminate.recv() => End::Terminate,
            _ = hung_up => End::HangUp,
        }
    }
}
