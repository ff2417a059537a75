//! Receives the signals that end a long-running command: SIGINT, SIGTERM, SIGHUP.

use anyhow::Context as _;
use std::io::{self, IsTerminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(crate) enum EndSignal {
    Interrupt,
    Other,
}

pub(crate) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` without a terminal, so that `nohup` works.
    hang_up: Option<Signal>,
}

impl EndSignals {
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("can't listen to signals");
        let is_shown = io::stdout().is_terminal() || io::stderr().is_terminal();
        let hang_up = if is_shown { Some(listen(SignalKind::hangup())?) } else { None };
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())?, hang_up })
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
            _ = terminate.recv() => EndSignal::Other,
            _ = hung_up => EndSignal::Other,
        }
    }
}
