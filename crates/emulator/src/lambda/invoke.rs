//! Runs a function in separate tasks and counts its invocations.
//! As in the Lambda runtime, an invocation continues if its caller disconnects, and a panic becomes an error.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio_util::task::TaskTracker;

use super::Function;

pub(super) struct Invoker {
    function: Function,
    invocations: AtomicU64,
    running: TaskTracker,
}

impl fmt::Debug for Invoker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Invoker").field("started", &self.invocations).finish_non_exhaustive()
    }
}

impl Invoker {
    pub(super) fn new(function: Function) -> Self {
        Self { function, invocations: AtomicU64::new(0), running: TaskTracker::new() }
    }

    pub(super) async fn invoke(&self, event: Value) -> Result<Value, String> {
        self.invoke_in((), event).await
    }

    /// Drops `turn` at the end of the function, which may be after the end of the call.
    pub(super) async fn invoke_in(&self, turn: impl Send + 'static, event: Value) -> Result<Value, String> {
        self.invocations.fetch_add(1, Ordering::SeqCst);
        let function = Function::clone(&self.function);
        let running = self.running.spawn(async move {
            let answer = function(event).await;
            drop(turn);
            answer
        });
        running.await.unwrap_or_else(|_| Err("the function panicked".to_owned()))
    }

    /// Ends the function with the call.
    pub(super) async fn invoke_here(&self, event: Value) -> Result<Value, String> {
        self.invocations.fetch_add(1, Ordering::SeqCst);
        (self.function)(event).await
    }

    pub(super) fn invocations(&self) -> u64 {
        self.invocations.load(Ordering::SeqCst)
    }

    pub(super) async fn wait_idle(&self) {
        self.running.close();
        self.running.wait().await;
    }
}
