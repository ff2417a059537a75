//! Sets, lists and rotates users' secrets. No answer contains a value.

use super::projects::load_project;
use crate::routes::prelude::*;
use axum::Extension;
use pullyard_control::{ModelUrls, UserSecret};
use pullyard_domain::id::SecretName;
use pullyard_domain::model_key_test::ModelKeyTest;
use pullyard_protocol::secret::{RotateSecret, RotatedSecret, Secret, SecretPage, SecretTest, SetSecret, TestSecret};
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
    let (secrets, next) = control::list_secrets(&caller.ctx, after.as_deref()).await?;
    Ok(Json(SecretPage { secrets: secrets.into_iter().map(to_wire).collect(), next }))
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
    let result = control::test_model_key_of_project(&caller.ctx, &urls, &project.settings.model_secrets, &name).await?;
    let works = result == ModelKeyTest::Accepted;
    Ok(Json(SecretTest { works, result, sentence: result.sentence().into(), help: result.help().into() }))
}
