//! Tests Lambda functions in processes. Each process is this test binary, which obeys the fields of an event.

use std::path::Path;
use std::time::Duration;

use pullyard_testkit::lambda::{Deployed, Runtime, Usage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{client, dead, soon, until};

/// A function whose processes obey their events; the folder holds its log.
fn deployed(folder: &Path, handler: &str) -> Deployed {
    let program = std::env::current_exe().unwrap().display().to_string();
    Deployed {
        name: "told".into(),
        handler: handler.into(),
        command: [&program, "--exact", "lambda::function_process", "--ignored", "--nocapture"].map(Into::into).to_vec(),
        environment: vec![("GREETING".into(), "hello".into())],
        timeout: Duration::from_secs(60),
        memory_mb: 128,
        most: 2,
        log: folder.join("told.log"),
    }
}

/// The process that Lambda starts: a small runtime.
#[tokio::test]
#[ignore = "only a process of the tests here"]
async fn function_process() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let api = format!("http://{}/2018-06-01/runtime", var("AWS_LAMBDA_RUNTIME_API"));
    let http = client();
    match var("_HANDLER").as_str() {
        "ends" => std::process::exit(3),
        "refuses" => {
            let said = json!({ "errorType": "Init", "errorMessage": "no configuration" });
            http.post(format!("{api}/init/error")).json(&said).send().await.unwrap();
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    let mut count = 0;
    loop {
        let asked = http.get(format!("{api}/invocation/next")).send().await.unwrap();
        let head = |name: &str| asked.headers()[name].to_str().unwrap().to_owned();
        let (id, arn) = (head("lambda-runtime-aws-request-id"), head("lambda-runtime-invoked-function-arn"));
        assert!(head("lambda-runtime-deadline-ms").parse::<u64>().unwrap() > 1_700_000_000_000);
        assert!(head("lambda-runtime-trace-id").starts_with("Root=1-"));
        let event: Value = asked.json().await.unwrap();
        count += 1;
        let path = event["file"].as_str().unwrap_or_default().to_owned();
        let (path_of_answer, answer) = match event["do"].as_str().unwrap_or_default() {
            "fail" => ("error", json!({ "errorType": "Told", "errorMessage": "as told" }).to_string()),
            "end" => std::process::exit(7),
            "wait" => std::future::pending().await,
            "nonsense" => ("response", "{".to_owned()),
            "long" => ("response", json!("x".repeat(7 * 1024 * 1024)).to_string()),
            "beside" => {
                tokio::spawn(async move {
                    for beat in 0_u64.. {
                        std::fs::write(&path, beat.to_string()).unwrap();
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                });
                ("response", "null".to_owned())
            }
            _ => {
                let answer = json!({
                    "count": count, "pid": std::process::id(), "arn": arn, "event": event,
                    "greeting": var("GREETING"), "home": var("HOME"), "function": var("AWS_LAMBDA_FUNCTION_NAME"),
                });
                ("response", answer.to_string())
            }
        };
        let told = http.post(format!("{api}/invocation/{id}/{path_of_answer}")).body(answer).send().await.unwrap();
        let expected = if event["do"] == "long" { 413 } else { 202 };
        assert_eq!(told.status().as_u16(), expected);
        // An answer to a finished event is rejected.
        let again = http.post(format!("{api}/invocation/{id}/response")).body("1").send().await.unwrap();
        assert_eq!(again.status().as_u16(), 400);
    }
}

async fn told(runtime: &Runtime, what: &str) -> Result<Value, String> {
    soon(what, runtime.invoke(&json!({ "do": what }))).await.answer
}

#[tokio::test]
async fn one_process_handles_events_in_lambdas_environment() {
    let folder = TempDir::new().unwrap();
    let runtime = Runtime::deploy(deployed(folder.path(), "main"));
    assert_eq!(runtime.environments().len(), 0, "a process started before its first event");
    let first = told(&runtime, "echo").await.unwrap();
    let second = told(&runtime, "echo").await.unwrap();
    assert_eq!((&first["count"], &second["count"]), (&json!(1), &json!(2)));
    assert_eq!(first["pid"], second["pid"]);
    assert_eq!((&first["greeting"], &first["function"]), (&json!("hello"), &json!("told")));
    assert_eq!(first["home"], "", "a variable of this process was inherited");
    assert_eq!(first["arn"], "arn:aws:lambda:us-east-1:000000000000:function:told");
    let environments = runtime.environments();
    let [one] = environments.as_slice() else { panic!("{environments:?}") };
    one.rests().await;
    assert!(Usage::of(one.pid).unwrap().cpu > Duration::ZERO);
    runtime.shutdown().await;
    assert!(dead(&one.pid.to_string()));
    assert!(told(&runtime, "echo").await.is_err());
}

#[tokio::test]
async fn function_error_is_returned_and_its_process_continues() {
    let folder = TempDir::new().unwrap();
    let runtime = Runtime::deploy(deployed(folder.path(), "main"));
    assert_eq!(told(&runtime, "fail").await, Err("as told".to_owned()));
    assert!(told(&runtime, "nonsense").await.unwrap_err().contains("no JSON"));
    assert!(told(&runtime, "long").await.unwrap_err().contains("at most 6291556 bytes"));
    assert_eq!(told(&runtime, "echo").await.unwrap()["count"], 4);
    let long = json!({ "do": "x".repeat(7 * 1024 * 1024) });
    assert!(runtime.invoke(&long).await.answer.unwrap_err().contains("at most"));
    runtime.shutdown().await;
}

#[tokio::test]
async fn dead_process_fails_its_event_once_and_is_replaced() {
    let folder = TempDir::new().unwrap();
    let runtime = Runtime::deploy(deployed(folder.path(), "main"));
    let before = told(&runtime, "echo").await.unwrap();
    assert!(told(&runtime, "end").await.unwrap_err().contains("exit status: 7"));
    let after = told(&runtime, "echo").await.unwrap();
    assert_eq!(after["count"], 1, "the event ran a second time");
    assert_ne!(before["pid"], after["pid"]);
    runtime.shutdown().await;
}

#[tokio::test]
async fn timed_out_event_kills_its_process() {
    let folder = TempDir::new().unwrap();
    let timeout = Duration::from_millis(300);
    let runtime = Runtime::deploy(Deployed { timeout, ..deployed(folder.path(), "main") });
    let invoked = soon("the time is over", runtime.invoke(&json!({ "do": "wait" }))).await;
    assert!(invoked.answer.unwrap_err().contains("timed out after 0.30 seconds"));
    let pid = invoked.environment.unwrap().pid.to_string();
    until("it is killed", || async { dead(&pid).then_some(()) }).await;
    runtime.shutdown().await;
}

#[tokio::test]
async fn failed_start_reports_its_cause() {
    let folder = TempDir::new().unwrap();
    for (handler, words) in [("ends", "exit status: 3"), ("refuses", "no configuration")] {
        let runtime = Runtime::deploy(deployed(folder.path(), handler));
        let said = told(&runtime, "echo").await.unwrap_err();
        assert!(said.contains(words) && said.contains("told.log"), "{said}");
        assert_eq!(runtime.environments().len(), 0);
    }
    let nothing = Deployed { command: vec!["/nowhere/at/all".into()], ..deployed(folder.path(), "main") };
    assert!(told(&Runtime::deploy(nothing), "echo").await.unwrap_err().contains("/nowhere/at/all"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_events_get_processes_up_to_the_limit() {
    let folder = TempDir::new().unwrap();
    // Both events must run at the same time, and one process may start late on a loaded machine.
    let timeout = Duration::from_secs(5);
    let runtime = Runtime::deploy(Deployed { timeout, ..deployed(folder.path(), "main") });
    let two = (runtime.clone(), runtime.clone());
    let waiting = tokio::spawn(async move { tokio::join!(told(&two.0, "wait"), told(&two.1, "wait")) });
    until("two of them work", || async {
        let busy = runtime.environments().iter().filter(|environment| environment.is_busy()).count();
        (busy == 2).then_some(())
    })
    .await;
    let third = told(&runtime, "echo").await.unwrap();
    assert_eq!(third["count"], 1, "the third event ran in a process of the first two");
    let (one, other) = waiting.await.unwrap();
    assert!(one.is_err() && other.is_err());
    runtime.shutdown().await;
}

#[tokio::test]
async fn background_work_is_frozen_until_the_next_event() {
    let folder = TempDir::new().unwrap();
    let runtime = Runtime::deploy(deployed(folder.path(), "main"));
    let file = folder.path().join("beats");
    let invoked = runtime.invoke(&json!({ "do": "beside", "file": file })).await;
    assert_eq!(invoked.answer, Ok(Value::Null));
    let environment = invoked.environment.unwrap();
    environment.rests().await;
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", environment.pid)).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
    };
    until("it is stopped", || async { (state() == 'T').then_some(()) }).await;
    // Another function starts and answers; work that is not frozen would write again in that time.
    let other = Runtime::deploy(deployed(folder.path(), "main"));
    let beats = std::fs::read_to_string(&file).unwrap_or_default();
    told(&other, "echo").await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), beats);
    told(&runtime, "echo").await.unwrap();
    other.shutdown().await;
    runtime.shutdown().await;
}
