use super::*;

fn parse(provider: Provider, body: &str) -> Result<String, String> {
    ModelRequest::parse(provider, body.as_bytes()).map(|request| String::from_utf8(request.body()).unwrap())
}

fn demand(provider: Provider, body: &str) -> Demand {
    ModelRequest::parse(provider, body.as_bytes()).unwrap().demand(body.as_bytes())
}

#[test]
fn requests_of_the_agents_are_forwarded_unchanged() {
    for (provider, body) in [
        (Provider::Anthropic, r#"{}"#),
        (
            Provider::Anthropic,
            r#"{"model":"m","max_tokens":32000,"tools":[{"name":"Bash","input_schema":{"type":"x"}}]}"#,
        ),
        (
            Provider::Anthropic,
            r#"{"b":1.50,"a":"\u00e9","context_management":{"edits":[{"type":"clear_thinking_20251015"}]}}"#,
        ),
        (Provider::Anthropic, r#"{"tools":[{"type":"custom","name":"x"}],"mcp_servers":[],"container":null}"#),
        (
            Provider::OpenAi,
            r#"{"tools":[{"type":"function"},{"type":"custom"},{"type":"tool_search"}],"input":"web_search"}"#,
        ),
        (Provider::OpenAi, r#"{"tools":[{"type":"namespace","tools":[{"type":"function"}]}],"store":false}"#),
        (Provider::OpenAi, r#"{"input":[{"type":"message"},{"type":"additional_tools","tools":[{"type":"custom"}]}]}"#),
        (Provider::OpenAi, r#"{"prompt_cache_key":"k","prompt_cache_options":{"mode":"implicit","ttl":"30m"}}"#),
    ] {
        assert_eq!(parse(provider, body).as_deref(), Ok(body));
    }
}

#[test]
fn tool_of_another_type_is_refused() {
    for (provider, tool) in [
        (Provider::Anthropic, r#"{"type":"web_search_20250305","name":"web_search"}"#),
        (Provider::Anthropic, r#"{"type":"WEB_search_20250305"}"#),
        (Provider::Anthropic, r#"{"type":"code_execution_20260120"}"#),
        (Provider::Anthropic, r#"{"type":"function"}"#),
        (Provider::OpenAi, r#"{"type":"shell","environment":{"type":"container_auto"}}"#),
        (Provider::OpenAi, r#"{"type":"mcp","connector_id":"x"}"#),
        (Provider::OpenAi, r#"{"type":"image_generation"}"#),
        (Provider::OpenAi, r#"{"name":"no type"}"#),
        (Provider::OpenAi, r#"{"type":"namespace","tools":[{"type":"web_search"}]}"#),
    ] {
        let refusal = parse(provider, &format!(r#"{{"tools":[{tool}]}}"#)).unwrap_err();
        assert!(refusal.contains("only tools that run in the agent"), "{tool}: {refusal}");
    }
    let added = r#"{"input":[{"type":"additional_tools","tools":[{"type":"web_search"}]}]}"#;
    assert!(parse(Provider::OpenAi, added).unwrap_err().contains("\"web_search\""));
}

#[test]
fn unreadable_request_is_refused() {
    for body in [
        "",
        "[]",
        r#"{"tools":[{"type":"web_search"}],"tools":[]}"#,
        r#"{"t\u006fols":[],"tools":[]}"#,
        r#"{"tools":[{"type":"function","type":"web_search"}]}"#,
        r#"{"tools":{}}"#,
        r#"{"max_output_tokens":1e9}"#,
        r#"{"max_output_tokens":"9"}"#,
    ] {
        assert!(parse(Provider::OpenAi, body).is_err(), "{body}");
    }
}

#[test]
fn content_of_the_provider_is_refused() {
    for body in [
        r#"{"previous_response_id":"resp_1"}"#,
        r#"{"conversation":"conv_1"}"#,
        r#"{"prompt":{"id":"pmpt_1"}}"#,
        r#"{"container":{"skills":[{"type":"custom"}]}}"#,
        r#"{"mcp_servers":[{"name":"x"}]}"#,
    ] {
        assert!(parse(Provider::OpenAi, body).is_err() && parse(Provider::Anthropic, body).is_err(), "{body}");
    }
}

#[test]
fn options_that_change_the_price_are_removed() {
    let body = r#"{"model":"m","service_tier":"priority","speed":"fast","inference_geo":"us",
        "context_management":{"edits":[{"type":"compact_20260112"}]},"prompt_cache_options":{"ttl":"24h"},"x":1}"#;
    assert_eq!(parse(Provider::OpenAi, body).as_deref(), Ok(r#"{"model":"m","x":1}"#));
}

#[test]
fn demand_has_the_greatest_output() {
    let [stated, unstated, thinking] = [
        r#"{"model":"m","max_tokens":500}"#,
        r#"{"model":"m"}"#,
        r#"{"max_tokens":32000,"thinking":{"type":"enabled","budget_tokens":9000}}"#,
    ]
    .map(|body| demand(Provider::Anthropic, body));
    assert_eq!((stated.model.as_str(), stated.max_output, stated.least_output), ("m", 500, 500));
    assert_eq!((unstated.max_output, unstated.least_output), (128_000, 1_024));
    assert_eq!((thinking.max_output, thinking.least_output), (32_000, 10_024));
    assert!(demand(Provider::OpenAi, r#"{"max_output_tokens":9,"max_tokens":1}"#).max_output == 9);
}

#[test]
fn lowered_output_is_written_where_the_provider_accepts_it() {
    let bearer = Key::Bearer("k".into());
    let chat_gpt = Key::ChatGpt { token: "t".into(), account: "a".into() };
    for (provider, key, path, body, expected) in [
        (Provider::Anthropic, &bearer, "/v1/messages", r#"{"max_tokens":9,"a":1}"#, r#"{"max_tokens":7,"a":1}"#),
        (Provider::OpenAi, &bearer, "/v1/responses", r#"{"a":1}"#, r#"{"a":1,"max_output_tokens":7}"#),
        (Provider::OpenAi, &bearer, "/v1/responses/compact", r#"{"a":1}"#, r#"{"a":1}"#),
        (Provider::OpenAi, &chat_gpt, "/v1/responses", r#"{"a":1}"#, r#"{"a":1}"#),
    ] {
        let mut request = ModelRequest::parse(provider, body.as_bytes()).unwrap();
        request.lower_output(key, path, 7);
        assert_eq!(String::from_utf8(request.body()).unwrap(), expected);
    }
}
