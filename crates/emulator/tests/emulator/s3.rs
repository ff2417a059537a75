//! Presigned uploads and downloads, refusals, ordered faults, and persistence.

use pullyard_emulator::s3::Fault;
use pullyard_emulator::{ACCESS_KEY_ID, Access, Aws, Options, SECRET_ACCESS_KEY, ecs};
use reqwest::{Client, Method, Response};
use tempfile::TempDir;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use std::time::{Duration, SystemTime};

/// SHA-256 of `hello`, base64.
const HELLO: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

struct Bucket {
    aws: Aws,
    folder: TempDir,
}

async fn bucket() -> Bucket {
    bucket_in_folder(TempDir::new().unwrap()).await
}

async fn bucket_in_folder(folder: TempDir) -> Bucket {
    let tasks = ecs::Options::new(folder.path().join("ecs"), Vec::new());
    let aws =
        Aws::start(Options { data: Some(folder.path().join("data")), tasks, access: Access::Open }).await.unwrap();
    aws.s3().create("bucket", None).unwrap();
    Bucket { aws, folder }
}

/// Signs with AWS's own signer, which is independent of the emulator's verifier.
fn presign(secret: &str, method: &str, url: &str, headers: &[(&str, &str)], age: Duration) -> String {
    let identity = Credentials::new(ACCESS_KEY_ID, secret, None, None, "test").into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("s3")
        .time(SystemTime::now() - age)
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let request = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::UnsignedPayload).unwrap();
    let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
    let (_, added) = instructions.into_parts();
    let mut url = reqwest::Url::parse(url).unwrap();
    url.query_pairs_mut().extend_pairs(added);
    url.to_string()
}

impl Bucket {
    fn presign(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let url = format!("{}/{path}", self.aws.endpoints().s3);
        presign(SECRET_ACCESS_KEY, method, &url, headers, Duration::ZERO)
    }

    async fn put(&self, path: &str, checksum: &str, body: &str) -> Response {
        let length = body.len().to_string();
        let headers = [("content-length", length.as_str()), ("x-amz-checksum-sha256", checksum)];
        let url = self.presign("PUT", path, &headers);
        let sent = headers.into_iter().fold(Client::new().put(url), |sent, (name, value)| sent.header(name, value));
        sent.body(body.to_owned()).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> Response {
        Client::new().get(self.presign("GET", path, &[])).send().await.unwrap()
    }
}

async fn check(answer: Response, status: u16, expected: &str) {
    assert_eq!(answer.status().as_u16(), status);
    let text = answer.text().await.unwrap();
    assert!(text.contains(expected), "{text}");
}

#[tokio::test]
async fn signed_upload_is_stored_and_returned() {
    let bucket = bucket().await;
    check(bucket.put("bucket/a/b", HELLO, "hello").await, 200, "").await;
    check(bucket.get("bucket/a/b").await, 200, "hello").await;
    let answer = Client::new().head(bucket.presign("HEAD", "bucket/a/b", &[])).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-length"]), (200, &"5".parse().unwrap()));
    let named = "bucket/a/b?response-content-disposition=attachment%3B%20filename%3D%22x.txt%22&x-app=one";
    let answer = bucket.get(named).await;
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"x.txt\"");
    // S3 responds so to a caller that may not list the bucket.
    check(bucket.get("bucket/a/c").await, 403, "AccessDenied").await;
    check(bucket.get("other/a/b").await, 404, "NoSuchBucket").await;
}

#[tokio::test]
async fn content_that_differs_from_the_signature_is_rejected() {
    let bucket = bucket().await;
    check(bucket.put("bucket/a", HELLO, "jello").await, 400, "BadDigest").await;
    // The size differs from the signed size.
    let url = bucket.presign("PUT", "bucket/a", &[("content-length", "5")]);
    let answer = Client::new().put(url).body("hello there").send().await.unwrap();
    check(answer, 403, "SignatureDoesNotMatch").await;
    assert!(!bucket.aws.s3().has_object("bucket", "a"));
}

#[tokio::test]
async fn presigned_url_is_limited_to_its_request_and_lifetime() {
    let bucket = bucket().await;
    check(bucket.put("bucket/a", HELLO, "hello").await, 200, "").await;
    let get = |url: String| async move { Client::new().get(url).send().await.unwrap() };
    let at = format!("{}/bucket/a", bucket.aws.endpoints().s3);
    check(get(at.clone()).await, 403, "AccessDenied").await;
    check(get(presign("other", "GET", &at, &[], Duration::ZERO)).await, 403, "SignatureDoesNotMatch").await;
    let old = presign(SECRET_ACCESS_KEY, "GET", &at, &[], Duration::from_secs(61));
    check(get(old).await, 403, "expired").await;
    let signed = bucket.presign("GET", "bucket/a", &[]);
    check(get(signed.replace("/bucket/a", "/bucket/b")).await, 403, "SignatureDoesNotMatch").await;
    check(Client::new().request(Method::PUT, &signed).body("x").send().await.unwrap(), 403, "Signature").await;
    let twice = Client::new().get(&signed).bearer_auth("token").send().await.unwrap();
    check(twice, 400, "Only one auth mechanism").await;
    check(get(signed).await, 200, "hello").await;
}

#[tokio::test]
async fn objects_survive_a_restart_and_partial_uploads_do_not() {
    let first = bucket().await;
    check(first.put("bucket/a", HELLO, "hello").await, 200, "").await;
    first.aws.s3().inject_fault(Fault::CutUpload);
    let length = [("content-length", "5")];
    let url = first.presign("PUT", "bucket/b", &length);
    let cut = Client::new().put(url).header("content-length", "5").body("hello").send().await;
    let cut = match cut {
        Err(_) => true,
        Ok(answer) => answer.bytes().await.is_err(),
    };
    assert!(cut, "the connection was not cut");
    let Bucket { aws, folder } = first;
    aws.shutdown().await;
    let second = bucket_in_folder(folder).await;
    check(second.get("bucket/a").await, 200, "hello").await;
    assert!(!second.aws.s3().has_object("bucket", "b"));
}
