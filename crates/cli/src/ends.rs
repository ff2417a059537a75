//! The signals that end a command which keeps something running: Ctrl-C, SIGTERM, and a closed terminal.

use std::io::{self, IsTerminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signal that ended a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Interrupt,
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
}

/// Receives these signals from its construction on.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// None where nothing is shown on a terminal: `nohup` has a command go on without one, and takes both away.
    hang_up: Option<Signal>,
}

impl Ends {
    pub(crate) fn listen() -> io::Result<Self> {
        let is_shown = io::stdout().is_terminal() || io::stderr().is_terminal();
        let hang_up = if is_shown { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    /// Waits for the next signal.
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
