//! Linear, by its GraphQL API.

mod apply;
mod graphql;
mod hook;
mod read;

use std::sync::Arc;
use std::time::Duration;

use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::{Client, HeaderValue, Url};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::client::{list, status_id, text, unexpected};
use crate::{Account, Changed, Connection, Error, LIMIT, Scope, Token, ToolStatus};

/// The clones share the token of an app, so a caller keeps one for each connection.
#[derive(Clone, Debug)]
pub struct Linear {
    http: Client,
    base: Url,
    credential: Token,
    app_token: Arc<Mutex<Option<HeaderValue>>>,
    limit: Duration,
}

const VIEWER: &str = "query Viewer { viewer { id name app } }";

const APP: &str = "query App($client: String!) { applicationInfo(clientId: $client) { id name } }";

const TEAMS: &str = "query Teams($after: String) {
    teams(first: 100, after: $after) { nodes { key name } pageInfo { hasNextPage endCursor } }
}";

const STATES: &str = "query States($key: String!) {
    teams(first: 1, filter: { key: { eq: $key } }) { nodes { states(first: 100) { nodes { id name type position } } } }
}";

const CHANGED: &str = "query Changed($key: String!, $since: DateTimeOrDuration!, $after: String) {
    issues(
        filter: { team: { key: { eq: $key } }, updatedAt: { gte: $since } }
        sort: [{ updatedAt: { order: Ascending } }], first: 100, after: $after
    ) { nodes { identifier updatedAt } pageInfo { hasNextPage endCursor } }
}";

/// The types of states, in the order of Linear's board.
const TYPES: [&str; 7] = ["triage", "backlog", "unstarted", "started", "completed", "canceled", "duplicate"];
const FIRST_CLOSING_TYPE: usize = 4;

impl Linear {
    pub const API_URL: &str = "https://api.linear.app";

    /// Makes no call.
    pub fn new(http: Client, connection: Connection) -> Result<Self, Error> {
        let base = http.parse_url(&connection.base_url)?;
        Ok(Self { http, base, credential: connection.credential, app_token: Arc::default(), limit: LIMIT })
    }

    /// Limits the time for all calls of one `read` or `apply`.
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// An app is the actor of its changes as a user of its own, by its id, or by its name.
    pub async fn account(&self) -> Result<Account, Error> {
        let viewer = self.query(VIEWER, json!({})).await?["viewer"].take();
        let mut ids = vec![text(&viewer, "/id")?];
        if let Some((client, _)) = self.app() {
            let app = self.query(APP, json!({ "client": client })).await?["applicationInfo"].take();
            ids.extend([text(&app, "/id")?, text(&app, "/name")?]);
        }
        Ok(Account { ids, name: text(&viewer, "/name")?, is_person: viewer["app"] == false })
    }

    pub async fn list_scopes(&self) -> Result<Vec<Scope>, Error> {
        let teams = self.list(TEAMS, json!({}), usize::MAX).await?;
        teams.iter().map(|team| Ok(Scope { id: text(team, "/key")?, name: text(team, "/name")? })).collect()
    }

    pub async fn list_statuses(&self, scope: &str) -> Result<Vec<ToolStatus>, Error> {
        let teams = self.query(STATES, json!({ "key": scope })).await?["teams"]["nodes"].take();
        let team = teams.get(0).ok_or(Error::NotFound)?;
        let rank = |state: &Value| TYPES.iter().position(|name| state["type"] == *name);
        let position = |state: &Value| state["position"].as_f64().unwrap_or_default();
        let mut states = list(team, "/states/nodes")?.iter().collect::<Vec<_>>();
        states.sort_by(|one, other| rank(one).cmp(&rank(other)).then(position(one).total_cmp(&position(other))));
        let status = |state: &Value| {
            let closes = rank(state) >= Some(FIRST_CLOSING_TYPE);
            Ok(ToolStatus { id: status_id(state, "/id")?, name: text(state, "/name")?, closes })
        };
        states.into_iter().map(status).collect()
    }

    /// In the order of their changes, oldest first.
    pub async fn list_changed(
        &self,
        scope: &str,
        since: Timestamp,
        _now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Changed>, Error> {
        let issues = self.list(CHANGED, json!({ "key": scope, "since": since.to_string() }), limit).await?;
        let changed = |issue| Ok(Changed { key: text(issue, "/identifier")?, at: time(issue, "/updatedAt")? });
        issues.iter().map(changed).collect()
    }

    /// Client id and secret of an app.
    fn app(&self) -> Option<(&str, &str)> {
        self.credential.reveal().split_once(':')
    }
}

fn time(value: &Value, pointer: &str) -> Result<Timestamp, Error> {
    let text = text(value, pointer)?;
    Timestamp::parse(&text).map_err(|_| unexpected(format!("{text} is no time")))
}
