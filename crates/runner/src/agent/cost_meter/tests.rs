use super::*;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use futures::StreamExt;
use pullyard_agent_proxy::model::{Key, ModelProxy, Upstream};
use pullyard_domain::agent::Provider;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

const DOLLAR: u64 = 1_000_000;

/// A thousand tokens of output of the model `m` cost $3; its input is free.
fn meter(turns: Option<u32>, cost: Option<u64>) -> CostMeter {
    let prices = Prices::parse("m=0/0/3000,input=1000/100/0");
    let (rest, run_state) = (Remaining { turns, cost }, SharedRunState::metered());
    CostMeter { prices, rest, run_state, requests: Mutex::default() }
}

fn demand(max_output: u64) -> Demand {
    Demand { model: "m".into(), max_output, least_output: max_output.min(100), ..Demand::default() }
}

fn usage(model: &str, output: u64) -> Usage {
    Usage { model: Some(model.into()), output, ..Usage::default() }
}

fn start(max_output: u64) -> Grant {
    Grant::Start { max_output }
}

/// The known cost, and the upper bound.
fn cost(meter: &CostMeter) -> (Option<u64>, u64) {
    let record = meter.run_state.lock();
    (record.cost, record.cost_upper_bound)
}

fn refusal(meter: &CostMeter) -> Option<RefusedFor> {
    meter.run_state.lock().refusal
}

#[test]
fn parallel_requests_never_reserve_more_than_the_limit() {
    let meter = meter(None, Some(10 * DOLLAR));
    let grants: Vec<Grant> = (0..60).map(|request| meter.reserve(request, &demand(1_000))).collect();
    assert!(grants[..3].iter().all(|grant| *grant == start(1_000)));
    assert!(grants[3..].iter().all(|grant| *grant == Grant::Wait), "{grants:?}");
    (0..3).for_each(|request| meter.finish(request, &usage("m", 1_000), RequestEnd::Complete));
    assert_eq!(cost(&meter), (Some(9 * DOLLAR), 9 * DOLLAR));
    assert_eq!(refusal(&meter), None);
}

#[test]
fn unused_reservations_return() {
    let meter = meter(None, Some(10 * DOLLAR));
    for request in 0..8 {
        assert_eq!(meter.reserve(request, &demand(1_000)), start(1_000), "{request}");
        meter.finish(request, &usage("m", 333), RequestEnd::Complete);
    }
}

#[test]
fn last_request_starts_alone_with_the_output_that_is_left() {
    let meter = meter(None, Some(10 * DOLLAR));
    assert_eq!(meter.reserve(1, &demand(2_000)), start(2_000));
    assert_eq!(meter.reserve(2, &demand(2_000)), Grant::Wait);
    meter.finish(1, &usage("m", 2_000), RequestEnd::Complete);
    assert_eq!(meter.reserve(2, &demand(2_000)), start(1_333));
    assert_eq!(meter.reserve(3, &demand(1)), Grant::Wait);
    meter.finish(2, &usage("m", 1_000), RequestEnd::Complete);
    assert_eq!(refusal(&meter), None);
    // $1 is left.
    assert_eq!(meter.reserve(3, &demand(1)), start(1));
    meter.finish(3, &usage("m", 1), RequestEnd::Complete);
    assert_eq!(meter.reserve(4, &demand(500)), start(332));
    meter.finish(4, &usage("m", 332), RequestEnd::Complete);
    assert_eq!(refusal(&meter), Some(RefusedFor::Cost(0)), "the limit ended the answer");
}

#[test]
fn request_is_refused_when_the_rest_pays_for_no_useful_output() {
    let meter = meter(None, Some(10 * DOLLAR));
    assert_eq!(meter.reserve(1, &demand(3_300)), start(3_300));
    assert_eq!(meter.reserve(2, &demand(3_300)), Grant::Wait);
    assert!(meter.record(1, &usage("m", 3_250)));
    let Grant::Refuse(sentence) = meter.reserve(2, &demand(3_300)) else { panic!() };
    assert_eq!(sentence, "The job spent $9.75, and its next request may cost $0.30; the limit is $10.00.");
    assert_eq!(refusal(&meter), Some(RefusedFor::Cost(300_000)));
}

#[test]
fn next_request_is_refused_when_the_limit_is_used_up() {
    let meter = meter(None, Some(10 * DOLLAR));
    assert_eq!(meter.reserve(1, &Demand { model: "free".into(), ..Demand::default() }), start(0));
    // The provider names a dearer model.
    meter.finish(1, &usage("m", 4_000), RequestEnd::Complete);
    assert_eq!(refusal(&meter), None, "a complete answer is used");
    let Grant::Refuse(sentence) = meter.reserve(2, &Demand::default()) else { panic!() };
    assert_eq!(sentence, "The job spent $12.00; the limit is $10.00.");
}

#[test]
fn answer_is_cut_when_it_passes_its_reservation_and_the_limit() {
    let meter = meter(None, Some(10 * DOLLAR));
    meter.reserve(1, &demand(1_000));
    meter.reserve(2, &demand(1_000));
    assert!(meter.record(1, &usage("m", 2_333)));
    assert_eq!(refusal(&meter), None);
    assert!(!meter.record(1, &usage("m", 2_334)), "$3 are reserved for the other request");
    assert!(refusal(&meter).is_some());
}

#[test]
fn lone_request_is_checked_by_its_likely_input() {
    let meter = meter(None, Some(10 * DOLLAR));
    let demand = Demand { model: "input".into(), likely_input: 3_000, most_input: 6_000, ..Demand::default() };
    assert_eq!(meter.reserve(1, &demand), start(0));
    assert_eq!(meter.reserve(2, &demand), Grant::Wait);
    meter.finish(1, &Usage { input: 6_000, ..usage("input", 0) }, RequestEnd::Complete);
    // An operator's price of a cache write is a quarter above that of input.
    assert_eq!(meter.reserve(2, &demand), start(0));
    meter.finish(2, &Usage { input: 3_000, cache_write: 3_000, ..usage("input", 0) }, RequestEnd::Complete);
    assert_eq!(cost(&meter).1, 9_750_000);
    let hour = Demand { likely_input: 200, has_long_cache: true, ..demand.clone() };
    let Grant::Refuse(sentence) = meter.reserve(3, &hour) else { panic!() };
    assert!(sentence.contains("may cost $0.40"), "{sentence}");
}

#[test]
fn cut_request_counts_with_its_reservation() {
    let meter = meter(None, Some(10 * DOLLAR));
    (1..=3).for_each(|request| assert_eq!(meter.reserve(request, &demand(1_000)), start(1_000)));
    meter.record(1, &usage("m", 100));
    meter.finish(1, &usage("m", 100), RequestEnd::Cut);
    assert_eq!(cost(&meter), (Some(3 * DOLLAR), 3 * DOLLAR));
    meter.finish(2, &usage("m", 100), RequestEnd::Complete);
    assert_eq!(cost(&meter).1, 3_300_000, "the provider reported this answer's usage");
    meter.cut_all();
    let record = meter.run_state.lock();
    assert_eq!((record.cost, record.turns), (Some(6_300_000), 3));
    assert_eq!(record.usage().estimated_cost, 5_700_000);
}

#[test]
fn turns_count_from_the_start_of_a_request() {
    let meter = meter(Some(2), None);
    let grants = [1, 2, 3].map(|request| meter.reserve(request, &demand(1)));
    assert_eq!(grants[..2], [start(1), start(1)]);
    assert_eq!(grants[2], Grant::Refuse("The agent used all 2 turns.".into()));
    assert_eq!(refusal(&meter), Some(RefusedFor::Turns));
    meter.finish(1, &Usage::default(), RequestEnd::NotBilled);
    assert_eq!(meter.reserve(4, &demand(1)), start(1), "the provider refused a request");
    assert_eq!(meter.run_state.lock().turns, 0);
    meter.cut_all();
    assert_eq!(meter.run_state.lock().turns, 2);
}

#[test]
fn model_without_a_price_hides_no_known_cost() {
    let meter = meter(None, None);
    [1, 2].into_iter().for_each(|request| assert_eq!(meter.reserve(request, &demand(9)), start(9)));
    meter.finish(1, &usage("claude-opus-4-8", 1_000), RequestEnd::Complete);
    let known = meter.run_state.lock().cost.unwrap();
    meter.finish(2, &usage("unknown", 1_000), RequestEnd::Complete);
    let record = meter.run_state.lock();
    assert_eq!((record.cost, record.tokens.output), (Some(known), 2_000));
    assert!(record.cost_upper_bound > known);
}

/// Counts the dollars of the requests that reach it, and answers when `arrivals` requests have arrived.
struct SlowProvider {
    arrivals: Barrier,
    dollars: Mutex<u64>,
}

async fn answer(State(provider): State<Arc<SlowProvider>>, body: String) -> Body {
    let body: Value = serde_json::from_str(&body).unwrap();
    let output = body["max_tokens"].as_u64().unwrap().min(1_000);
    *provider.dollars.lock().unwrap() += 3 * output / 1_000;
    provider.arrivals.wait().await;
    let usage = json!({"input_tokens": 1, "output_tokens": output});
    if body["stream"] == true {
        let start = json!({"message": {"model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}});
        let end = json!({"type": "message_delta", "usage": usage});
        let events = [start, end].map(|event| Ok::<_, std::io::Error>(format!("data: {event}\n\n")));
        return Body::from_stream(futures::stream::iter(events));
    }
    Body::from(json!({"model": "m", "usage": usage}).to_string())
}

async fn serve(cost: u64, arrivals: usize) -> (String, Arc<SlowProvider>, Arc<CostMeter>) {
    let provider = Arc::new(SlowProvider { arrivals: Barrier::new(arrivals), dollars: Mutex::default() });
    let meter = Arc::new(meter(None, Some(cost)));
    let [real, proxy] =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let [base_url, url] = [&real, &proxy].map(|listener| format!("http://{}", listener.local_addr().unwrap()));
    let router = Router::new().fallback(answer).with_state(Arc::clone(&provider));
    tokio::spawn(async move { axum::serve(real, router).await });
    let route = Upstream { provider: Provider::Anthropic, base_url, key: Key::ApiKey("sk".into()) };
    let model = ModelProxy::new(route, b"", Arc::clone(&meter) as Arc<dyn Meter>).unwrap();
    tokio::spawn(model.serve(proxy));
    (format!("{url}/v1/messages"), provider, meter)
}

async fn send(url: &str, client: &reqwest::Client, is_streamed: bool) -> bool {
    let body = json!({"model": "m", "max_tokens": 1_000, "stream": is_streamed});
    let answer = client.post(url).body(body.to_string()).send().await.unwrap();
    let is_success = answer.status().is_success();
    let text = answer.text().await.unwrap();
    assert!(is_success || text.contains("the limit is $10.00"), "{text}");
    is_success
}

#[tokio::test]
async fn sixty_parallel_requests_spend_at_most_the_limit() {
    for is_streamed in [true, false] {
        let (url, provider, meter) = serve(10 * DOLLAR, 3).await;
        let client = reqwest::Client::new();
        let requests = futures::stream::iter(0..60).map(|_| send(&url, &client, is_streamed));
        let answers: Vec<bool> = requests.buffer_unordered(60).collect().await;
        let reached = *provider.dollars.lock().unwrap();
        println!("stream: {is_streamed}; dollars that reached the provider: {reached}; recorded: {:?}", cost(&meter));
        assert_eq!((reached, answers.iter().filter(|is_answered| **is_answered).count()), (9, 3));
        assert_eq!(cost(&meter), (Some(reached * DOLLAR), reached * DOLLAR));
        assert_eq!(refusal(&meter), Some(RefusedFor::Cost(3 * DOLLAR)));
    }
}

#[tokio::test]
async fn requests_in_turn_use_the_limit() {
    let (url, provider, meter) = serve(10 * DOLLAR, 1).await;
    let client = reqwest::Client::new();
    for request in 0..4 {
        assert_eq!(send(&url, &client, true).await, request < 3, "{request}");
    }
    assert_eq!((*provider.dollars.lock().unwrap(), cost(&meter).1), (9, 9 * DOLLAR));
}

#[tokio::test]
async fn parallel_subagents_near_the_limit_all_end() {
    let (url, provider, meter) = serve(10 * DOLLAR, 1).await;
    let client = reqwest::Client::new();
    let answers = futures::future::join_all([1, 2, 3].map(|_| async {
        // Each may cost $9 and costs $3.
        let body = json!({"model": "m", "max_tokens": 3_000, "stream": true});
        client.post(&url).body(body.to_string()).send().await.unwrap().status()
    }));
    let are_ended = answers.await.iter().all(reqwest::StatusCode::is_success);
    assert_eq!((are_ended, *provider.dollars.lock().unwrap(), refusal(&meter)), (true, 9, None));
}
