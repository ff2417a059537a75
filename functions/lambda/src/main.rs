//! What Lambda starts, for every function: `bootstrap` of the one zip.

use std::process::ExitCode;

#[tokio::main]
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
