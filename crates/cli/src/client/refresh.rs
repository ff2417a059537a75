//! Shows a list once, or with `--watch` repaints it until Ctrl-C.

use crate::client::prelude::*;
use serde::Serialize;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Errors: `Usage` with `--watch` without a terminal or with --json, which would print endless documents.
pub(super) async fn show_list<T: Serialize>(
    session: &Session,
    watch: bool,
    load: impl AsyncFn() -> Result<T, CliError>,
    show: impl Fn(&T) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let screen = &session.screen;
    if !watch {
        return screen.show(&load().await?, show);
    }
    if screen.width().is_none() || screen.is_json() {
        return Err(CliError::usage("--watch needs a terminal").with_help("run it without --watch"));
    }
    let refresh = async {
        loop {
            // Load before clearing the screen, so that the old page stays visible.
            let page = load().await?;
            screen.clear()?;
            show(&page)?;
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    tokio::select! {
        result = refresh => result,
        _ = tokio::signal::ctrl_c() => Err(CliError::silent(Exit::Interrupted)),
    }
}
