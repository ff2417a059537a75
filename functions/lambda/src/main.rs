//! What Lambda starts, for every function: `bootstrap` of the one zip.

use std::process::ExitCode;

// One thread: an environment has one event at a time, and what it does is wait. A second one would cost a cold start
// its own beginning and memory.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match pullyard_functions::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log of the function is all that anybody sees of it.
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
