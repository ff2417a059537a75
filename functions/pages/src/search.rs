//! Finds tickets, jobs, pull requests and settings of a project. The command palette shows the same results.

use crate::board::ticket_url;
use crate::prelude::*;
use crate::setup::has_setting_row;
use pullyard_control::TicketHit;
use pullyard_protocol::setting::{SETTINGS, Setting};

const MAX_SETTINGS: usize = 8;

#[derive(Deserialize)]
pub(crate) struct SearchQuery {
    project: Option<ProjectId>,
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    text: String,
    hits: Vec<Hit>,
}

struct Hit {
    address: String,
    title: SafeText,
    detail: SafeText,
    foreign: bool,
}

pub(crate) async fn show(visit: PageContext, Query(query): Query<SearchQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    let text: String = query.q.trim().chars().take(200).collect();
    let results = control::search_project(&visit.ctx, &project.id, &text).await?;
    let tickets = results.tickets.into_iter().map(|TicketHit { key, title, excerpt }| Hit {
        address: ticket_url(&project.id, &key),
        title: line(if title.trim().is_empty() { key.as_str() } else { &title }),
        detail: line(&match excerpt {
            Some(excerpt) => format!("Ticket {key} · in the description: {excerpt}"),
            None => format!("Ticket {key}"),
        }),
        foreign: false,
    });
    let jobs = results.jobs.into_iter().map(|view| {
        let name = format!("Job {}", view.job.id.short());
        Hit {
            address: format!("/jobs/{}", view.job.id),
            title: line(if view.title.trim().is_empty() { &name } else { &view.title }),
            detail: line(&format!("{name} · {}", labels::job_pill(&view.job).word)),
            foreign: false,
        }
    });
    let pulls = results.pull_requests.into_iter().filter_map(|pull| {
        let ticket = pull.ticket.as_ref().map(|key| format!(" · {key}")).unwrap_or_default();
        Some(Hit {
            foreign: !control::is_local_forge(&visit.ctx, &pull.id.integration),
            address: labels::pull_request_address(&visit.ctx, &pull.id, &pull.url)?,
            title: line(&pull.label()),
            detail: line(&format!("Pull request, {}{ticket}", pull.state.display_name())),
        })
    });
    let has_row = |setting: &&Setting| has_setting_row(setting, visit.ctx.on_one_machine);
    let settings = find_settings(&text).filter(has_row).take(MAX_SETTINGS).map(|setting| Hit {
        address: format!("/setup/settings?project={}#{}", project.id, setting.name()),
        title: line(setting.label),
        detail: line(&format!("Setting · {}", setting.name())),
        foreign: false,
    });
    let page = SearchPage {
        hits: jobs.chain(pulls).chain(tickets).chain(settings).collect(),
        frame: visit.frame("Search", "", Some(&project.id)),
        text,
    };
    Ok(render_page(StatusCode::OK, &page))
}

/// The settings whose name or label has all words of the text.
fn find_settings(text: &str) -> impl Iterator<Item = &'static Setting> {
    let words: Vec<_> = text.to_lowercase().split_whitespace().map(str::to_owned).collect();
    SETTINGS.iter().filter(move |setting| {
        let name = format!("{} {}", setting.name(), setting.label).to_lowercase();
        !words.is_empty() && words.iter().all(|word| name.contains(word))
    })
}
