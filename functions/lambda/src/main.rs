//! The `bootstrap` program of the zip that all functions share.

use std::process::ExitCode;

// One thread, because an environment handles one event at a time. A second would cost start-up time and memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match pullyard_functions::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
