//! A client with the fake of its tool, and one ticket.

use std::time::Duration;

use pullyard_domain::text::time::Timestamp;
use pullyard_fake_tracker::{BACKLOG, CREDENTIAL, FakeTracker, Kind, PROCESSING, Ticket, TicketBody};
use pullyard_outbound::{AllowedRanges, Client};
use pullyard_tracker::{
    Account, Applied, Changed, Connection, Desired, Error, Jira, Linear, Link, Scope, Snapshot, Step, Token, ToolStatus,
};

pub(crate) const BADGES: [(Kind, [&str; 2]); 2] =
    [(Kind::Jira, ["ai-failed", "ai-waiting"]), (Kind::Linear, ["AI Failed", "AI Waiting"])];
pub(crate) const KINDS: [Kind; 2] = [Kind::Jira, Kind::Linear];
pub(crate) const MISSING: [(Kind, &str); 2] = [(Kind::Jira, "PRJ-404"), (Kind::Linear, "ENG-404")];

enum Tool {
    Jira(Jira),
    Linear(Linear),
}

pub(crate) struct World {
    pub(crate) fake: FakeTracker,
    pub(crate) kind: Kind,
    pub(crate) key: &'static str,
    pub(crate) scope: &'static str,
    tool: Tool,
}

macro_rules! call {
    ($world:ident, $tool:ident => $call:expr) => {
        match &$world.tool {
            Tool::Jira($tool) => $call,
            Tool::Linear($tool) => $call,
        }
    };
}

pub(crate) fn connection(fake: &FakeTracker, credential: &str) -> Connection {
    Connection { base_url: fake.url().to_owned(), cloud_id: None, credential: Token::new(credential) }
}

pub(crate) fn http() -> Client {
    Client::new(AllowedRanges::loopback())
}

/// Records its exchanges in the file of PULLYARD_TRACKER_EXCHANGES, if that is set.
pub(crate) async fn start_fake(kind: Kind) -> FakeTracker {
    if let Some(file) = std::env::var_os("PULLYARD_TRACKER_EXCHANGES") {
        pullyard_fake_tracker::record_exchanges(file.as_ref());
    }
    FakeTracker::start(kind).await
}

impl World {
    /// The ticket is in "AI Processing", where it was created.
    pub(crate) async fn new(kind: Kind) -> Self {
        let fake = start_fake(kind).await;
        let (key, scope, credential) = match kind {
            Kind::Jira => ("PRJ-7", "PRJ", CREDENTIAL),
            Kind::Linear => ("ENG-7", "ENG", "lin_api_key"),
        };
        fake.state().add_ticket(key, "Fix the clock", TicketBody::Text("It is late.\n".to_owned()), PROCESSING);
        let connection = connection(&fake, credential);
        let tool = match kind {
            Kind::Jira => Tool::Jira(Jira::new(http(), connection).unwrap()),
            Kind::Linear => Tool::Linear(Linear::new(http(), connection).unwrap()),
        };
        Self { fake, kind, key, scope, tool }
    }

    pub(crate) fn id(&self, status: usize) -> String {
        self.fake.state().status_id(status)
    }

    pub(crate) fn badge(&self, at: usize) -> String {
        let (_, badges) = BADGES.into_iter().find(|(kind, _)| *kind == self.kind).unwrap();
        badges[at].to_owned()
    }

    /// A client that has no time for a single call.
    pub(crate) fn without_time(mut self) -> Self {
        self.tool = match self.tool {
            Tool::Jira(jira) => Tool::Jira(jira.with_limit(Duration::ZERO)),
            Tool::Linear(linear) => Tool::Linear(linear.with_limit(Duration::ZERO)),
        };
        self
    }

    /// The call of a read.
    pub(crate) fn reading(&self) -> &'static str {
        if self.kind == Kind::Jira { "GET /rest/api/3/issue/" } else { "query Read" }
    }

    /// As after a failed job.
    pub(crate) fn failed(&self) -> Desired {
        Desired {
            version: 6,
            message: "msg_4f".to_owned(),
            step: Some(Step { to: self.id(BACKLOG), expected: self.id(PROCESSING) }),
            badge: Some(self.badge(0)),
            badges: vec![self.badge(0), self.badge(1)],
            comment: Some("The agent *stopped*.\nSee https://pullyard.example/jobs/job_1_2 for more.".to_owned()),
            link: Some(Link {
                url: "https://forge.example/pull/4".to_owned(),
                title: "acme/app#4".to_owned(),
                state: None,
            }),
        }
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.fake.state().ticket(self.key).clone()
    }

    pub(crate) async fn account(&self) -> Result<Account, Error> {
        call!(self, tool => tool.account().await)
    }

    pub(crate) async fn list_scopes(&self) -> Result<Vec<Scope>, Error> {
        call!(self, tool => tool.list_scopes().await)
    }

    pub(crate) async fn list_statuses(&self, scope: &str) -> Result<Vec<ToolStatus>, Error> {
        call!(self, tool => tool.list_statuses(scope).await)
    }

    pub(crate) async fn read(&self) -> Result<Snapshot, Error> {
        self.read_key(self.key).await
    }

    pub(crate) async fn read_key(&self, key: &str) -> Result<Snapshot, Error> {
        let now = Timestamp::from_millis(self.fake.state().now());
        call!(self, tool => tool.read(key, now).await)
    }

    pub(crate) async fn apply(&self, desired: &Desired) -> Result<Applied, Error> {
        self.apply_to(self.key, desired).await
    }

    pub(crate) async fn apply_to(&self, key: &str, desired: &Desired) -> Result<Applied, Error> {
        call!(self, tool => tool.apply(key, desired).await)
    }

    pub(crate) async fn list_changed(&self, since: Timestamp, limit: usize) -> Result<Vec<Changed>, Error> {
        let now = Timestamp::from_millis(self.fake.state().now());
        call!(self, tool => tool.list_changed(self.scope, since, now, limit).await)
    }

    pub(crate) async fn install_hook(&self, url: &str, secret: &str) -> Result<(), Error> {
        call!(self, tool => tool.install_hook(self.scope, url, secret).await)
    }

    pub(crate) async fn remove_hooks(&self, url: &str) -> Result<(), Error> {
        call!(self, tool => tool.remove_hooks(url).await)
    }
}
