//! Tests Lambda functions in processes. Each process is this test binary, which obeys the fields of an event.

use std::path::Path;
use std::time::Duration;

use pullyard_testkit::lambda::{FunctionConfig, Runtime, Usage};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{client, is_dead, poll_until, with_timeout};

/// A function whose processes obey their events; the folder holds its log.
fn function_config(folder: &Path) -> FunctionConfig {
    let program = std::env::current_exe().unwrap().display().to_string();
    FunctionConfig {
        name: "told".into(),
        handler: "main".into(),
        command: [&program, "--exact", "lambda::function_process", "--ignored", "--nocapture"].map(Into::into).to_vec(),
        environment: vec![("GREETING".into(), "hello".into())],
        timeout: Duration::from_secs(60),
        memory_mb: 128,
        max_environments: 2,
        log: folder.join("told.log"),
    }
}

#[tokio::test]
#[ignore = "only a process of the tests here"]
async fn function_process() {
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let api = format!("http://{}/2018-06-01/runtime", var("AWS_LAMBDA_RUNTIME_API"));
    let http = client();
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
        let answer = if event["do"] == "beside" {
            tokio::spawn(async move {
                for beat in 0_u64.. {
                    std::fs::write(&path, beat.to_string()).unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            Value::Null
        } else {
            json!({
                "count": count, "pid": std::process::id(), "arn": arn, "event": event,
                "greeting": var("GREETING"), "home": var("HOME"), "function": var("AWS_LAMBDA_FUNCTION_NAME"),
            })
        };
        for expected in [202, 400] {
            // An answer to a finished event is rejected.
            let told = http.post(format!("{api}/invocation/{id}/response")).json(&answer).send().await.unwrap();
            assert_eq!(told.status().as_u16(), expected);
        }
    }
}

async fn invoke(runtime: &Runtime, what: &str) -> Result<Value, String> {
    with_timeout(what, runtime.invoke(&json!({ "do": what }))).await.answer
}

#[tokio::test]
async fn one_process_handles_events_in_lambdas_environment() {
    let folder = TempDir::new().unwrap();
    let runtime = Runtime::deploy(function_config(folder.path()));
    assert_eq!(runtime.environments().len(), 0, "a process started before its first event");
    let first = invoke(&runtime, "echo").await.unwrap();
    let second = invoke(&runtime, "echo").await.unwrap();
    assert_eq!((&first["count"], &second["count"]), (&json!(1), &json!(2)));
    assert_eq!(first["pid"], second["pid"]);
    assert_eq!((&first["greeting"], &first["function"]), (&json!("hello"), &json!("told")));
    assert_eq!(first["home"], "", "a variable of this process was inherited");
    assert_eq!(first["arn"], "arn:aws:lambda:us-east-1:000000000000:function:told");
    let environments = runtime.environments();
    let [one] = environments.as_slice() else { panic!("{environments:?}") };
    one.wait_until_idle().await;
    assert!(Usage::read(one.pid).unwrap().cpu > Duration::ZERO);
    runtime.shutdown().await;
    assert!(is_dead(&one.pid.to_string()));
    assert!(invoke(&runtime, "echo").await.is_err());
}

#[tokio::test]
async fn background_work_is_frozen_until_the_next_event() {
    let folder = TempDir::new().unwrap();
    let runtime = Runtime::deploy(function_config(folder.path()));
    let file = folder.path().join("beats");
    let invoked = runtime.invoke(&json!({ "do": "beside", "file": file })).await;
    assert_eq!(invoked.answer, Ok(Value::Null));
    let environment = invoked.environment.unwrap();
    environment.wait_until_idle().await;
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", environment.pid)).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
    };
    poll_until("it is stopped", || async { (state() == 'T').then_some(()) }).await;
    // Another function starts and answers; work that is not frozen would write again in that time.
    let other = Runtime::deploy(function_config(folder.path()));
    let beats = std::fs::read_to_string(&file).unwrap_or_default();
    invoke(&other, "echo").await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), beats);
    invoke(&runtime, "echo").await.unwrap();
    other.shutdown().await;
    runtime.shutdown().await;
}
