//! Runs the calls of docs/quick-start.md.

use crate::prelude::*;

const PAGE: &str = include_str!("../docs/quick-start.md");

/// Splits a shell line at spaces outside quotes, and replaces the two variables.
fn words(line: &str, url: &str, token: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in line.chars() {
        match (quote, character) {
            (None, ' ') => words.push(std::mem::take(&mut word)),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), close) if open == close => quote = None,
            _ => word.push(character),
        }
    }
    words.push(word);
    let filled = words.iter().map(|word| word.replace("$PULLYARD_URL", url).replace("$PULLYARD_TOKEN", token));
    filled.collect()
}

/// Makes the call of a curl line with the options that the page uses.
async fn call(words: &[String]) -> Value {
    let (mut method, mut headers, mut body, mut url) = (reqwest::Method::GET, Vec::new(), None, None);
    let mut rest = words.iter().skip(1);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-sS" => {}
            "-X" => method = rest.next().unwrap().parse().unwrap(),
            "-H" => headers.push(rest.next().unwrap().split_once(": ").unwrap()),
            "-d" => body = rest.next().cloned(),
            address => url = Some(address),
        }
    }
    let mut request = reqwest::Client::new().request(method, url.unwrap());
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let answer = request.body(body.unwrap_or_default()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{words:?}");
    answer.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_start_starts_a_job_with_five_calls() {
    let story = Story::start_with_waiting_tasks().await;
    let token = story.create_token(&[Scope::Tickets, Scope::Read], Some(&["acme"])).await;
    let lines: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 5);
    let mut answers = Vec::new();
    for line in lines {
        answers.push(call(&words(line, story.local.api_url(), &token)).await);
    }
    assert_eq!(answers[1]["settings"]["statuses"]["trigger"], "AI Processing", "{}", answers[1]);
    assert_eq!(answers[2]["verdict"], "accepted", "{}", answers[2]);
    assert_eq!(answers[3]["active_job"], answers[2]["job"], "{}", answers[3]);
    assert_eq!(answers[4]["deliveries"][0]["code"], "accepted", "{}", answers[4]);
}
