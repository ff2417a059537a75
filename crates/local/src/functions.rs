//! Runs the functions' libraries inside this process, from event to response.

use pullyard_emulator::lambda::Function;
use pullyard_entry::{Context, http, invocation};
use pullyard_function_pages::LocalMachine;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn api(ctx: Context, commit: &'static str, machine: LocalMachine) -> Function {
    let model_urls = machine.model_urls.clone();
    let setup = pullyard_function_pages::setup_router(ctx.clone(), Some(machine));
    let router = pullyard_function_api::router(ctx, commit, model_urls).merge(setup);
    Arc::new(move |event| Box::pin(http::invoke(router.clone(), event)))
}

pub(crate) fn tickets(ctx: Context) -> Function {
    let router = pullyard_function_tickets::router(ctx);
    Arc::new(move |event| Box::pin(http::invoke(router.clone(), event)))
}

pub(crate) fn webhook(ctx: Context) -> Function {
    let router = pullyard_function_webhook::router(ctx);
    Arc::new(move |event| Box::pin(http::invoke(router.clone(), event)))
}

pub(crate) fn pages(ctx: Context) -> Function {
    let router = pullyard_function_pages::router(ctx);
    Arc::new(move |event| Box::pin(http::invoke(router.clone(), event)))
}

pub(crate) fn dispatcher(ctx: Context) -> Function {
    Arc::new(move |event| {
        let ctx = ctx.clone();
        Box::pin(async move {
            let done = pullyard_function_dispatcher::handle(&ctx, parse_event(event)?);
            to_response(&invocation::run("dispatcher", &ctx, &Default::default(), done).await)
        })
    })
}

pub(crate) fn effects(ctx: Context) -> Function {
    Arc::new(move |event| {
        let ctx = ctx.clone();
        Box::pin(async move {
            let done = pullyard_function_effects::handle(&ctx, parse_event(event)?);
            to_response(&invocation::run("effects", &ctx, &Default::default(), done).await)
        })
    })
}

pub(crate) fn tasks(ctx: Context) -> Function {
    Arc::new(move |event| {
        let ctx = ctx.clone();
        Box::pin(async move {
            let handled = pullyard_function_tasks::handle(&ctx, parse_event(event)?);
            let handled = invocation::run("tasks", &ctx, &Default::default(), handled).await;
            handled.map(|()| Value::Null).map_err(|error| error.to_string())
        })
    })
}

pub(crate) fn sweeper(ctx: Context) -> Function {
    Arc::new(move |_| {
        let ctx = ctx.clone();
        Box::pin(async move {
            let swept = pullyard_function_sweeper::handle(&ctx);
            let swept = invocation::run("sweeper", &ctx, &Default::default(), swept).await;
            swept.map(|report| Value::String(format!("{report:?}"))).map_err(|error| error.to_string())
        })
    })
}

fn parse_event<E: DeserializeOwned>(event: Value) -> Result<E, String> {
    serde_json::from_value(event).map_err(|error| error.to_string())
}

fn to_response(answer: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
