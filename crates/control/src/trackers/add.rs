//! Connects a ticket tool.

use crate::admin::secrets::{check_secret_kind, generate_secret_value};
use crate::trackers::client::{call_for_user, load_credential, to_field_fault};
use crate::{Context, Error, set_secret};
use pullyard_domain::project::secret::SecretKind;
use pullyard_domain::project::tracker::{Tracker, TrackerKind};
use pullyard_domain::text::id::{IntegrationId, SecretName};
use pullyard_outbound::standard_webhooks::SigningSecret;
use pullyard_store::Write;
use pullyard_tracker::{Connection, Linear, Token, ToolClient};

pub struct NewTracker {
    pub id: IntegrationId,
    pub kind: TrackerKind,
    /// The address of a user's own tool or of a site of Jira.
    pub url: Option<String>,
    pub cloud_id: Option<String>,
    /// The full name of the secret; `None` to store `credential`, or to generate a signing secret.
    pub secret: Option<String>,
    /// A credential that is not stored yet.
    pub credential: Option<String>,
}

/// A new connection, and the signing secret that was generated for it.
pub struct AddedTracker {
    pub tracker: Tracker,
    pub signing_secret: Option<String>,
}

/// Writes: TRACKERS; secrets with new names for a given credential and for a generated value.
/// Errors: `NameTaken`; `NotFound` (integration); `Invalid` for an address or a credential that cannot be used.
pub async fn add_tracker(ctx: &Context, new: NewTracker) -> Result<AddedTracker, Error> {
    if ctx.store.load_tracker(&new.id).await?.is_some() {
        return Err(Error::NameTaken { resource: "ticket tool", name: new.id.to_string() });
    }
    let AddedTracker { tracker, signing_secret } = match new.kind {
        TrackerKind::Http => prepare_own_tool(ctx, new).await?,
        TrackerKind::Issues => prepare_issues(ctx, new).await?,
        TrackerKind::Jira | TrackerKind::Linear => prepare_scoped_tool(ctx, new).await?,
    };
    match ctx.store.put_tracker(&tracker).await? {
        Write::Applied => {
            tracing::info!(tracker = %tracker.id, "ticket tool connected");
            Ok(AddedTracker { tracker, signing_secret })
        }
        Write::Stale => Err(Error::NameTaken { resource: "ticket tool", name: tracker.id.to_string() }),
    }
}

/// Stores a value under a new name, because a deleted or concurrent connection of the same name may have a secret.
async fn store_value(ctx: &Context, id: &IntegrationId, use_for: &str, value: &str) -> Result<String, Error> {
    let name = SecretName::new(format!("tracker-{id}{use_for}-{:08x}", rand::random::<u32>()))?;
    Ok(set_secret(ctx, SecretKind::Forge, &name, value).await?.secret)
}

/// Whether `store_value` made the secret of a connection.
pub(super) fn is_stored_value(ctx: &Context, id: &IntegrationId, secret: &str) -> bool {
    let name = SecretName::new(format!("tracker-{id}")).map(|name| ctx.secret_name(SecretKind::Forge, &name));
    let rest = name.ok().and_then(|name| secret.strip_prefix(&name).map(str::to_owned));
    let digits = rest.as_ref().map(|rest| rest.strip_prefix("-hook").unwrap_or(rest));
    let digits = digits.and_then(|digits| digits.strip_prefix('-'));
    digits.is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

async fn prepare_own_tool(ctx: &Context, new: NewTracker) -> Result<AddedTracker, Error> {
    let NewTracker { id, kind, url, secret, .. } = new;
    let url = url.unwrap_or_default();
    let invalid = |fault: String| Error::Invalid { pointer: "/url", fault };
    ctx.outbound.parse_url(&url).map_err(|error| invalid(error.to_string()))?;
    if let Some(secret) = secret {
        check_secret_kind(ctx, SecretKind::Forge, &secret, "/secret")?;
        return Ok(AddedTracker {
            tracker: Tracker::new(id, kind, url, secret, ctx.clock.now()),
            signing_secret: None,
        });
    }
    let value = SigningSecret::generate().expose();
    let secret = store_value(ctx, &id, "", &value).await?;
    Ok(AddedTracker { tracker: Tracker::new(id, kind, url, secret, ctx.clock.now()), signing_secret: Some(value) })
}

async fn prepare_issues(ctx: &Context, NewTracker { id, kind, .. }: NewTracker) -> Result<AddedTracker, Error> {
    let integration = ctx.load_integration(&id).await?;
    if !integration.kind.spec().has_issues {
        let fault = format!("{id} is on {}, whose issues cannot be tickets", integration.kind.label());
        return Err(Error::Invalid { pointer: "/id", fault });
    }
    let tracker = Tracker::new(id, kind, integration.api_url, String::new(), ctx.clock.now());
    Ok(AddedTracker { tracker, signing_secret: None })
}

/// Reads the credential's account before anything is stored.
async fn prepare_scoped_tool(ctx: &Context, new: NewTracker) -> Result<AddedTracker, Error> {
    let NewTracker { id, kind, url, cloud_id, secret, credential } = new;
    let url = url.map(|url| url.trim().trim_end_matches('/').to_owned()).filter(|url| !url.is_empty());
    let url = match url {
        None if kind == TrackerKind::Linear => Linear::API_URL.to_owned(),
        None => {
            return Err(Error::Invalid { pointer: "/url", fault: "name the site: https://NAME.atlassian.net".into() });
        }
        Some(url) => url,
    };
    let value = match (&secret, &credential) {
        (Some(secret), _) => {
            check_secret_kind(ctx, SecretKind::Forge, secret, "/secret")?;
            load_credential(ctx, secret).await.map_err(|error| to_field_fault("/secret", error))?.trim().to_owned()
        }
        (None, Some(credential)) if !credential.trim().is_empty() => credential.trim().to_owned(),
        _ => {
            let fault = "name the secret with the credential; set it with `pullyard secrets set NAME`".into();
            return Err(Error::Invalid { pointer: "/secret", fault });
        }
    };
    let connection = Connection { base_url: url.clone(), cloud_id: cloud_id.clone(), credential: Token::new(&*value) };
    let client =
        ToolClient::new(ctx.outbound.clone(), kind, connection).map_err(|error| to_field_fault("/url", error))?;
    let account = call_for_user(ctx, client.account()).await.map_err(|error| to_field_fault("/secret", error))?;
    let secret = match secret {
        Some(secret) => secret,
        None => store_value(ctx, &id, "", &value).await?,
    };
    let hook_value = generate_secret_value();
    let hook_secret = Some(store_value(ctx, &id, "-hook", &hook_value).await?);
    let tracker = Tracker::new(id, kind, url, secret, ctx.clock.now());
    let tracker = Tracker { cloud_id, account: Some(account), hook_secret, ..tracker };
    Ok(AddedTracker { tracker, signing_secret: Some(hook_value) })
}
