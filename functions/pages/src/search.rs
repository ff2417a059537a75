//! Finds tickets, jobs and pull requests of a project. The command palette shows the same results.

use crate::board::ticket_url;
use crate::prelude::*;

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
    project: String,
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
    let tickets = results.tickets.into_iter().map(|(key, title)| Hit {
        address: ticket_url(&project.id, &key),
        title: line(if title.trim().is_empty() { key.as_str() } else { &title }),
        detail: line(&format!("Ticket {key}")),
        foreign: false,
    });
    let jobs = results.jobs.into_iter().map(|view| {
        let name = format!("Job {}", view.job.id.short());
        Hit {
            address: format!("/jobs/{}", view.job.id),
            title: line(if view.title.trim().is_empty() { &name } else { &view.title }),
            detail: line(&format!("{name} · {}", labels::pill(view.job.status).word)),
            foreign: false,
        }
    });
    let pulls = results.pull_requests.into_iter().filter_map(|pull| {
        let ticket = pull.ticket.as_ref().map(|key| format!(" · {key}")).unwrap_or_default();
        Some(Hit {
            address: http_url(&pull.url)?,
            title: line(&pull.label()),
            detail: line(&format!("Pull request, {}{ticket}", pull.state.display_name())),
            foreign: true,
        })
    });
    let page = SearchPage {
        hits: jobs.chain(pulls).chain(tickets).collect(),
        frame: visit.frame("Search", "", Some(&project.id)),
        project: project.id.to_string(),
        text,
    };
    Ok(render_page(StatusCode::OK, &page))
}
