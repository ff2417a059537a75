//! A fake GitHub with one App: verifies an App's requests like GitHub, in front of the local forge.

use crate::prelude::*;
use crate::token_gate::{Gate, long_token};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use axum::Json;
use axum::extract::Path;
use axum::routing::{get, patch, post};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use std::time::UNIX_EPOCH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub(crate) const APP: u64 = 12_345;
pub(crate) const CODE: &str = "a180b1a3d263c81bc6441d7b990bae27d4c10679";
const MINT_PERMITS: u32 = 100;

pub(crate) struct GitHub {
    pub(crate) gate: Gate,
    app: Arc<App>,
}

struct App {
    key: KeyPair,
    state: Mutex<InstallationState>,
    gate: Mutex<Option<Gate>>,
    token_requests: watch::Sender<Vec<Value>>,
    waiting_mints: watch::Sender<usize>,
    mint_permits: Arc<Semaphore>,
}

struct InstallationState {
    permissions: Value,
    suspended: bool,
    installed: bool,
    codes: BTreeSet<&'static str>,
    webhook_secret: Option<&'static str>,
    hook: Value,
    used_jwt_ids: BTreeSet<String>,
}

impl GitHub {
    pub(crate) async fn start(behind: &str, token: &str) -> Self {
        let permissions = json!({
            "metadata": "read", "contents": "write", "pull_requests": "write", "issues": "write", "statuses": "write",
        });
        let state = InstallationState {
            permissions,
            suspended: false,
            installed: true,
            codes: [CODE].into(),
            webhook_secret: Some("wh-s3cret"),
            hook: Value::Null,
            used_jwt_ids: BTreeSet::new(),
        };
        let app = Arc::new(App {
            key: KeyPair::generate(KeySize::Rsa2048).unwrap(),
            state: Mutex::new(state),
            gate: Mutex::default(),
            token_requests: watch::Sender::new(Vec::new()),
            waiting_mints: watch::Sender::new(0),
            mint_permits: Arc::new(Semaphore::new(MINT_PERMITS as usize)),
        });
        let routes = Router::new()
            .route("/api/v3/app", get(get_app))
            .route("/api/v3/app/hook/config", patch(configure))
            .route("/api/v3/app-manifests/{code}/conversions", post(convert))
            .route("/api/v3/repos/{owner}/{name}/installation", get(installation))
            .route("/api/v3/app/installations/{id}/access_tokens", post(mint))
            .route("/api/v3/users/{login}", get(bot))
            .with_state(app.clone());
        let gate = Gate::start(behind, token, |_| routes).await;
        *app.gate.lock().unwrap() = Some(gate.clone());
        Self { gate, app }
    }

    pub(crate) fn url(&self) -> String {
        self.gate.url.clone()
    }

    /// The key in GitHub's format, PKCS#1: the PKCS#8 bytes without their 26-byte frame.
    pub(crate) fn pem(&self) -> String {
        self.app.pem()
    }

    pub(crate) fn token_requests(&self) -> Vec<Value> {
        self.app.token_requests.borrow().clone()
    }

    pub(crate) fn grant(&self, name: &str, level: &str) {
        self.app.state.lock().unwrap().permissions[name] = level.into();
    }

    pub(crate) fn suspend(&self) {
        self.app.state.lock().unwrap().suspended = true;
    }

    pub(crate) fn uninstall(&self) {
        self.app.state.lock().unwrap().installed = false;
    }

    pub(crate) fn hook(&self) -> Value {
        self.app.state.lock().unwrap().hook.clone()
    }

    pub(crate) fn forget_webhook_secret(&self) {
        self.app.state.lock().unwrap().webhook_secret = None;
    }

    /// Blocks every answer with a token until the permit is dropped.
    pub(crate) fn hold_minting(&self) -> OwnedSemaphorePermit {
        self.app.mint_permits.clone().try_acquire_many_owned(MINT_PERMITS).unwrap()
    }

    pub(crate) async fn wait_for_minting(&self) {
        let mut waiting_mints = self.app.waiting_mints.subscribe();
        waiting_mints.wait_for(|waiting| *waiting > 0).await.unwrap();
    }
}

impl App {
    fn pem(&self) -> String {
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.key).unwrap();
        let text = BASE64_STANDARD.encode(&der.as_ref()[26..]);
        let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", lines.join("\n"))
    }

    /// Whether the request carries a valid, fresh JWT of this App that was not used before.
    fn verify_jwt(&self, headers: &HeaderMap) -> bool {
        let jwt = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some((signed, signature)) = jwt.and_then(|jwt| jwt.rsplit_once('.')) else { return false };
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key().as_ref());
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        if key.verify(signed.as_bytes(), &decode(signature)).is_err() {
            return false;
        }
        let claims: Value = serde_json::from_slice(&decode(signed.split('.').nth(1).unwrap())).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (issued, ends) = (claims["iat"].as_u64().unwrap(), claims["exp"].as_u64().unwrap());
        let young = issued <= now && now < ends && ends - issued <= 600;
        let ours = claims["iss"].as_str().is_some_and(|issuer| issuer == "Iv23test" || issuer.parse() == Ok(APP));
        young && ours && self.state.lock().unwrap().used_jwt_ids.insert(claims["jti"].as_str().unwrap().to_owned())
    }
}

fn error_response(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "message": message }))).into_response()
}

fn unauthorized() -> Response {
    error_response(StatusCode::UNAUTHORIZED, "A JSON web token could not be decoded")
}

fn not_found() -> Response {
    error_response(StatusCode::NOT_FOUND, "Not Found")
}

async fn get_app(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !app.verify_jwt(&headers) {
        return unauthorized();
    }
    let permissions = app.state.lock().unwrap().permissions.clone();
    Json(json!({
        "id": APP, "slug": "pullyard-acme", "client_id": "Iv23test", "html_url": "http://g/apps/pullyard-acme",
        "permissions": permissions, "events": [],
    }))
    .into_response()
}

async fn configure(State(app): State<Arc<App>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if !app.verify_jwt(&headers) {
        return unauthorized();
    }
    let mut response = body.clone();
    app.state.lock().unwrap().hook = body;
    response["secret"] = "********".into();
    Json(response).into_response()
}

async fn convert(State(app): State<Arc<App>>, headers: HeaderMap, Path(code): Path<String>) -> Response {
    assert!(!headers.contains_key("authorization"), "the conversion of a code is unauthenticated");
    let mut state = app.state.lock().unwrap();
    if !state.codes.remove(code.as_str()) {
        return not_found();
    }
    let response = json!({
        "id": APP, "html_url": "http://g/apps/pullyard-acme", "client_id": "Iv23test", "client_secret": "c",
        "webhook_secret": state.webhook_secret, "pem": app.pem(), "permissions": state.permissions,
    });
    (StatusCode::CREATED, Json(response)).into_response()
}

async fn installation(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !app.verify_jwt(&headers) {
        return unauthorized();
    }
    let state = app.state.lock().unwrap();
    if !state.installed {
        return not_found();
    }
    let suspended = state.suspended.then_some("2026-01-01T00:00:00Z");
    Json(json!({ "id": 5, "app_id": APP, "permissions": state.permissions, "suspended_at": suspended })).into_response()
}

async fn mint(State(app): State<Arc<App>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if !app.verify_jwt(&headers) {
        return unauthorized();
    }
    let permissions = body["permissions"].as_object().unwrap().clone();
    let granted = app.state.lock().unwrap().permissions.clone();
    let has = |name: &str, level: &Value| granted[name] == *level || (granted[name] == "write" && level == "read");
    if !permissions.iter().all(|(name, level)| has(name, level)) {
        let message = "The permissions requested are not granted to this installation.";
        return error_response(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    app.waiting_mints.send_modify(|waiting| *waiting += 1);
    let _open = app.mint_permits.acquire().await.unwrap();
    app.waiting_mints.send_modify(|waiting| *waiting -= 1);
    app.token_requests.send_modify(|minted| minted.push(body));
    let token = long_token(app.token_requests.borrow().len());
    app.gate.lock().unwrap().as_ref().unwrap().admit(&token);
    (StatusCode::CREATED, Json(json!({ "token": token, "expires_at": in_an_hour() }))).into_response()
}

async fn bot(Path(login): Path<String>) -> Response {
    if login != "pullyard-acme[bot]" {
        return not_found();
    }
    Json(json!({ "id": (1u64 << 53) + 9, "login": login, "type": "Bot" })).into_response()
}

fn in_an_hour() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    pullyard_domain::text::time::Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap() + 3_600_000).to_string()
}
