//! Sets, lists, rotates and deletes users' secrets. No answer contains a value.

use super::projects::load_project;
use crate::routes::prelude::*;
use axum::Extension;
use pullyard_control::{ModelUrls, UserSecret};
use pullyard_domain::agent::key_check::ModelKeyTest;
use pullyard_domain::text::id::SecretName;
use pullyard_protocol::secret::{
    DeleteSecretQuery, DeletedSecret, ListedSecret, RotateSecret, RotatedSecret, Secret, SecretPage, SecretProjects,
    SecretTest, SetSecret, SetSecretProjects, TestSecret,
};
use std::collections::BTreeMap;
use std::time::Duration;

fn to_wire(UserSecret { kind, name, secret, set_at }: UserSecret) -> Secret {
    Secret { name, kind, secret, set_at }
}

pub(crate) async fn set(
    caller: Caller<scope::AdminAllProjects>,
    Path(name): Path<SecretName>,
    StrictJson(secret): StrictJson<SetSecret>,
) -> Result<Json<Secret>, Problem> {
    Ok(Json(to_wire(control::set_secret(&caller.ctx, secret.kind, &name, &secret.value).await?)))
}

pub(crate) async fn list(
    caller: Caller<scope::AdminAllProjects>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<SecretPage>, Problem> {
    let mut users = control::list_secret_users(&caller.ctx).await?;
    let (secrets, next) = control::list_secrets(&caller.ctx, &users, after.as_deref()).await?;
    let names = secrets.iter().map(|secret| secret.secret.as_str());
    let mut lists: BTreeMap<_, _> = control::list_secret_projects(&caller.ctx, names).await?.into_iter().collect();
    let secrets = secrets.into_iter().map(|secret| {
        let used_by = users.remove(&secret.secret).unwrap_or_default();
        ListedSecret { projects: lists.remove(&secret.secret), secret: to_wire(secret), used_by }
    });
    Ok(Json(SecretPage { secrets: secrets.collect(), next }))
}

pub(crate) async fn set_projects(
    caller: Caller<scope::AdminAllProjects>,
    Path(name): Path<SecretName>,
    StrictJson(SetSecretProjects { kind, projects }): StrictJson<SetSecretProjects>,
) -> Result<Json<SecretProjects>, Problem> {
    let secret = control::set_secret_projects(&caller.ctx, kind, &name, projects.as_ref()).await?;
    Ok(Json(SecretProjects { name, secret, projects }))
}

pub(crate) async fn delete(
    caller: Caller<scope::AdminAllProjects>,
    Path(name): Path<SecretName>,
    Query(DeleteSecretQuery { kind }): Query<DeleteSecretQuery>,
) -> Result<Json<DeletedSecret>, Problem> {
    let secret = control::delete_secret(&caller.ctx, kind, &name).await?;
    Ok(Json(DeletedSecret { name, secret }))
}

pub(crate) async fn rotate(
    caller: Caller<scope::AdminAllProjects>,
    Path(name): Path<SecretName>,
    StrictJson(request): StrictJson<RotateSecret>,
) -> Result<Json<RotatedSecret>, Problem> {
    let overlap = Duration::from_secs(request.overlap_secs);
    let (UserSecret { name, secret, .. }, old_until) =
        control::rotate_secret(&caller.ctx, &name, &request.value, overlap).await?;
    Ok(Json(RotatedSecret { name, secret, old_until }))
}

pub(crate) async fn test(
    Extension(urls): Extension<ModelUrls>,
    caller: Caller<scope::AdminAllProjects>,
    Path(name): Path<SecretName>,
    StrictJson(request): StrictJson<TestSecret>,
) -> Result<Json<SecretTest>, Problem> {
    let project = load_project(&caller.ctx, &request.project).await?;
    let result = control::check_model_key_of_project(&caller.ctx, &urls, &project, &name).await?;
    let works = result == ModelKeyTest::Accepted;
    Ok(Json(SecretTest { works, result, sentence: result.sentence().into(), help: result.help().into() }))
}
