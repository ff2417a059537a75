//! Receives the signals that end a long-running command: SIGINT, SIGTERM, SIGHUP.

use std::io::{self, IsTerminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndSignal {
    Interrupt,
    Terminate,
    HangUp,
}

pub(crate) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` without a terminal, so that `nohup` works.
    hang_up: Option<Signal>,
}

impl EndSignals {
    pub(crate) fn listen() -> io::Result<Self> {
        let is_shown = io::stdout().is_terminal() || io::stderr().is_terminal();
        let hang_up = if is_shown { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    pub(crate) async fn next(&mut self) -> EndSignal {
        let Self { interrupt, terminate, hang_up } = self;
        let hung_up = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => EndSignal::Interrupt,
            _ = terminate.recv() => EndSignal::Terminate,
            _ = hung_up => EndSignal::HangUp,
        }
    }
}
