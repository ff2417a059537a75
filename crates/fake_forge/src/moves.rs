//! Renames and deletes repositories. An old name redirects to the new one in REST and git, as on GitHub and Bitbucket.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pullyard_local_forge::access::Actor;
use pullyard_local_forge::forge_state::Shared;
use pullyard_local_forge::record;
use pullyard_local_forge::record::RepositoryRecord;
use pullyard_local_forge::repositories::RepositoryEntry;
use pullyard_local_forge::users::AccountKind;
use pullyard_local_forge::{Error, events, render};
use serde_json::{Value, json};

use crate::{FakeForge, bitbucket};

const REPOSITORIES: &str = "/api/v3/repositories/";
const BITBUCKET_REPOSITORIES: &str = "/2.0/repositories/";

fn storage(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Storage { path, source }
}

pub(crate) async fn rename(
    shared: &Arc<Shared>,
    old: &Arc<RepositoryEntry>,
    by: &Actor,
    full_name: &str,
) -> Result<(), Error> {
    let record = RepositoryRecord { full_name: full_name.to_owned(), ..old.record.lock().await.clone() };
    let new = Arc::new(RepositoryEntry::new(&shared.dir, record.clone())?);
    let owner = shared.dir.join(&new.owner);
    let mut entries = shared.repositories.entries.write().await;
    tokio::fs::create_dir_all(&owner).await.map_err(storage(&owner))?;
    record::save(&record, &new.record_path).await?;
    tokio::fs::rename(&old.git_dir, &new.git_dir).await.map_err(storage(&new.git_dir))?;
    tokio::fs::remove_file(&old.record_path).await.map_err(storage(&old.record_path))?;
    entries.remove(&old.key());
    entries.insert(new.key(), new.clone());
    drop(entries);
    if let Some(fake) = shared.extension::<FakeForge>() {
        let mut moved = fake.moved();
        moved.insert(old.key(), old.id);
        // The name of an existing repository must not redirect.
        moved.remove(&new.key());
    }
    bitbucket::send_rename(shared, &new, &by.account, (&old.owner, &old.name)).await;
    let (action, changes) = match old.owner == new.owner {
        true => ("renamed", json!({ "repository": { "name": { "from": old.name } } })),
        false => ("transferred", json!({ "owner": { "from": previous_owner(shared, &old.owner) } })),
    };
    events::emit(shared, &new, by, ("repository", action), [json!({ "changes": changes }), json!({})]).await;
    Ok(())
}

fn previous_owner(shared: &Shared, login: &str) -> Value {
    let owner = render::owner(shared, login);
    match owner.kind {
        AccountKind::Organization => json!({ "organization": render::organization(&owner) }),
        _ => json!({ "user": render::account(shared, &owner) }),
    }
}

/// Sends no event to GitHub's hooks.
pub(crate) async fn delete(shared: &Arc<Shared>, entry: &Arc<RepositoryEntry>) -> Result<(), Error> {
    let mut entries = shared.repositories.entries.write().await;
    entries.remove(&entry.key());
    tokio::fs::remove_file(&entry.record_path).await.map_err(storage(&entry.record_path))?;
    tokio::fs::remove_dir_all(&entry.git_dir).await.map_err(storage(&entry.git_dir))?;
    drop(entries);
    bitbucket::send_deleted(shared, entry, &render::owner(shared, &entry.owner)).await;
    Ok(())
}

/// Redirects the old name of a repository, and serves the target of the redirect.
pub(crate) async fn redirect(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    if let Some((id, rest)) = path.strip_prefix(REPOSITORIES).map(split_segment) {
        let entry = shared.repositories.by_id(id.parse().unwrap_or(0)).await;
        let named = entry.and_then(|entry| format!("/api/v3/repos/{}{rest}", entry.full_name()).parse::<Uri>().ok());
        if let Some(uri) = named {
            *request.uri_mut() = uri;
        }
        return next.run(request).await;
    }
    let redirection = match path.strip_prefix(BITBUCKET_REPOSITORIES) {
        Some(rest) => bitbucket_redirection(&shared, rest).await,
        None => redirection(&shared, request.method(), &path).await,
    };
    match redirection {
        Some(response) => response,
        None => next.run(request).await,
    }
}

fn split_segment(path: &str) -> (&str, &str) {
    path.split_at(path.find(['/', '?']).unwrap_or(path.len()))
}

/// Reads and writes are redirected alike.
async fn bitbucket_redirection(shared: &Shared, path: &str) -> Option<Response> {
    let (workspace, slug) = split_segment(path);
    let (slug, rest) = split_segment(slug.strip_prefix('/')?);
    let id =
        shared.extension::<FakeForge>()?.moved().get(&format!("{workspace}/{slug}").to_ascii_lowercase()).copied()?;
    let entry = shared.repositories.by_id(id).await?;
    let url = format!("{}{BITBUCKET_REPOSITORIES}{}{rest}", shared.url, entry.full_name());
    let location = HeaderValue::from_str(&url).ok()?;
    Some((StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response())
}

async fn redirection(shared: &Shared, method: &Method, path: &str) -> Option<Response> {
    let rest = path.strip_prefix("/api/v3/repos/");
    let (owner, name) = split_segment(rest.or(path.strip_prefix('/'))?);
    let (name, rest_of_path) = split_segment(name.strip_prefix('/')?);
    let key = format!("{owner}/{}", name.strip_suffix(".git").unwrap_or(name)).to_ascii_lowercase();
    let id = shared.extension::<FakeForge>()?.moved().get(&key).copied()?;
    let entry = shared.repositories.by_id(id).await?;
    let (url, write_status) = match rest {
        Some(_) => (format!("{}{REPOSITORIES}{id}{rest_of_path}", shared.url), StatusCode::TEMPORARY_REDIRECT),
        None => (format!("{}/{}.git{rest_of_path}", shared.url, entry.full_name()), StatusCode::PERMANENT_REDIRECT),
    };
    let status = if *method == Method::GET { StatusCode::MOVED_PERMANENTLY } else { write_status };
    let location = HeaderValue::from_str(&url).ok()?;
    Some((status, [(LOCATION, location)], Json(json!({ "message": "Moved", "url": url }))).into_response())
}
