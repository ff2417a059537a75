//! What ends a command that keeps something running: Ctrl-C, being told to by the system, and a terminal that is closed.

use std::io::{self, IsTerminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Heard from the moment on that this is made.
pub(crate) struct Ends {
    interrupt: Signal,
    terminate: Signal,
    /// None where nothing is shown on a terminal: `nohup` has a command go on without one, and takes both away.
    hang_up: Option<Signal>,
}

impl Ends {
    /// Begins to listen.
    pub(crate) fn listen() -> io::Result<Self> {
        let is_shown = io::stdout().is_terminal() || io::stderr().is_terminal();
        let hang_up = if is_shown { Some(signal(SignalKind::hangup())?) } else { None };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hang_up })
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        let Self { interrupt, terminate, hang_up } = self;
        let hung_up = async {
            match hang_up {
                Some(hang_up) => hang_up.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hung_up => {}
        }
    }
}
