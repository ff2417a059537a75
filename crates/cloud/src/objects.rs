//! Presigns URLs of the artifacts bucket, and reads sizes and contents of objects, without an SDK for five requests.
//! A URL has this process's permissions and expires with its credentials at the latest.

use crate::{Error, dns_suffix};
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use pullyard_domain::job::artifact::Artifact;
use pullyard_domain::text::id::Sha256Hex;
use pullyard_domain::text::{format_error_chain, percent_encode};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// Time for a runner to start an upload.
const PUT_EXPIRY: Duration = Duration::from_secs(900);
const GET_EXPIRY: Duration = Duration::from_secs(300);
const READ_EXPIRY: Duration = Duration::from_secs(60);

const TRIES: u32 = 3;

/// No browser executes this type, even if the uploader declares another one.
const CONTENT_TYPE: &str = "application/octet-stream";

#[derive(Clone)]
pub struct Objects {
    base_url: String,
    region: String,
    app: Option<String>,
    credentials: Option<SharedCredentialsProvider>,
    /// The SDK's limits for a try.
    limits: TimeoutConfig,
    http: Arc<OnceLock<reqwest::Client>>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("address", &self.base_url).finish_non_exhaustive()
    }
}

/// The URL is a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Upload {
    pub url: String,
    /// Send them unchanged: the signature covers them.
    pub headers: Vec<(String, String)>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Upload { .. }")
    }
}

impl Objects {
    pub fn new(config: &aws_config::SdkConfig, endpoint: Option<&str>, bucket: &str) -> Self {
        let region = config.region().map(ToString::to_string).unwrap_or_default();
        let base_url = match endpoint {
            // A path-style address, because a virtual-host address would need DNS.
            Some(endpoint) => format!("{}/{bucket}", endpoint.trim_end_matches('/')),
            None => format!("https://{bucket}.s3.{region}.{}", dns_suffix(&region)),
        };
        Self {
            base_url,
            region,
            app: config.app_name().map(ToString::to_string),
            credentials: config.credentials_provider(),
            limits: config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled),
            http: Arc::default(),
        }
    }

    /// Presigns an upload; the bucket accepts exactly these bytes. Idempotent: by the content.
    pub async fn presign_upload(&self, key: &str, artifact: &Artifact) -> Result<Upload, Error> {
        let headers = vec![
            ("content-length".to_owned(), artifact.size_bytes.to_string()),
            ("content-type".to_owned(), CONTENT_TYPE.to_owned()),
            ("x-amz-checksum-sha256".to_owned(), to_base64(&artifact.sha256)),
        ];
        let url = self.presign("PUT", key, &headers, &[], PUT_EXPIRY).await?;
        Ok(Upload { url, headers })
    }

    pub async fn presign_download(&self, key: &str, artifact: &Artifact) -> Result<String, Error> {
        // Names are validated and need no quoting.
        let disposition = format!("attachment; filename=\"{}\"", artifact.name);
        let query = [("response-content-disposition", disposition.as_str()), ("response-content-type", CONTENT_TYPE)];
        self.presign("GET", key, &[], &query, GET_EXPIRY).await
    }

    /// `None` for a missing object. Units: bytes. Errors: `Unavailable` after three tries.
    pub async fn size(&self, key: &str) -> Result<Option<u64>, Error> {
        let mut tries = 1;
        loop {
            match self.head_size(key).await {
                Err(error) if tries < TRIES && error.is_transient() => {
                    let max_ms = 100 << tries;
                    tokio::time::sleep(Duration::from_millis(rand::random_range(max_ms / 2..=max_ms))).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    /// The first `max_bytes` bytes of an object, `None` if it is missing. Errors: `Unavailable`.
    pub async fn read(&self, key: &str, max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let url = self.presign("GET", key, &[], &[], READ_EXPIRY).await?;
        // The URL is a credential: remove it from the error.
        let failed = |error: reqwest::Error| Error::unavailable("read an object", error.without_url());
        let mut answer = self.http()?.get(url).send().await.map_err(failed)?;
        match answer.status().as_u16() {
            200 => {}
            // As for `head_size`.
            403 | 404 => return Ok(None),
            status => return Err(bucket_error(&format!("the bucket answered {status}"))),
        }
        let mut bytes = Vec::new();
        while bytes.len() < max_bytes
            && let Some(part) = answer.chunk().await.map_err(failed)?
        {
            bytes.extend_from_slice(&part);
        }
        bytes.truncate(max_bytes);
        Ok(Some(bytes))
    }

    /// Stores an object without content, and returns the status of the answer. Errors: `Unavailable`.
    pub async fn store_empty(&self, key: &str) -> Result<u16, Error> {
        let headers = [("content-length".to_owned(), "0".to_owned())];
        let url = self.presign("PUT", key, &headers, &[], READ_EXPIRY).await?;
        // The URL is a credential: remove it from the error.
        let failed = |error: reqwest::Error| Error::unavailable("store an object", error.without_url());
        let answer = self.http()?.put(url).header("content-length", "0").send().await.map_err(failed)?;
        Ok(answer.status().as_u16())
    }

    /// The status of the answer to a read: 403 if it is not allowed, and for a missing object.
    pub async fn read_status(&self, key: &str) -> Result<u16, Error> {
        let url = self.presign("GET", key, &[], &[], READ_EXPIRY).await?;
        let failed = |error: reqwest::Error| Error::unavailable("read an object", error.without_url());
        Ok(self.http()?.get(url).send().await.map_err(failed)?.status().as_u16())
    }

    async fn head_size(&self, key: &str) -> Result<Option<u64>, Error> {
        let url = self.presign("HEAD", key, &[], &[], READ_EXPIRY).await?;
        // The URL is a credential: remove it from the error.
        let unreachable = |error: reqwest::Error| Error::unavailable("read an object's metadata", error.without_url());
        let answer = self.http()?.head(url).send().await.map_err(unreachable)?;
        match answer.status().as_u16() {
            200 => {
                let length =
                    answer.headers().get("content-length").and_then(|length| length.to_str().ok()?.parse().ok());
                length.map(Some).ok_or_else(|| bucket_error("the response has no size"))
            }
            // S3 returns 403 for a missing key if the caller may not list the bucket, as here. Tests compare the role
            // with this call, so 403 has no other cause.
            403 | 404 => Ok(None),
            status => Err(bucket_error(&format!("the bucket answered {status}"))),
        }
    }

    fn http(&self) -> Result<&reqwest::Client, Error> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if let Some(limit) = self.limits.operation_attempt_timeout() {
            builder = builder.timeout(limit);
        }
        if let Some(limit) = self.limits.connect_timeout() {
            builder = builder.connect_timeout(limit);
        }
        if self.base_url.starts_with("http://127.0.0.1") {
            // No proxy reaches this machine, and plain HTTP needs no certificates, which take long to read.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| Error::unavailable("read an object's metadata", error))?;
        Ok(self.http.get_or_init(|| http))
    }

    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.
    async fn presign(
        &self,
        method: &str,
        key: &str,
        headers: &[(String, String)],
        query: &[(&str, &str)],
        expiry: Duration,
    ) -> Result<String, Error> {
        let provider = self.credentials.as_ref().ok_or_else(|| bucket_error("no credentials to sign with"))?;
        let credentials = provider.provide_credentials().await;
        let identity = credentials.map_err(|error| Error::unavailable("sign a URL", error))?.into();
        // S3 ignores parameters that begin with `x-` and writes them to its access log.
        let app = self.app.as_deref().map(|app| ("x-app", app));
        let query: Vec<_> = query.iter().copied().chain(app).map(query_pair).collect();
        let mut url = format!("{}/{key}", self.base_url);
        if !query.is_empty() {
            url = format!("{url}?{}", query.join("&"));
        }
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(expiry);
        // Only S3 requires the unchanged path in the signature.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        let signing_error = |reason: &dyn std::error::Error| bucket_error(&format_error_chain(reason));
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .map_err(|error| signing_error(&error))?
            .into();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new(method, &url, headers, SignableBody::UnsignedPayload)
            .map_err(|error| signing_error(&error))?;
        let (instructions, _) = sign(request, &parameters).map_err(|error| signing_error(&error))?.into_parts();
        let (_, signature) = instructions.into_parts();
        let signature: Vec<_> = signature.iter().map(|(name, value)| query_pair((name, value.as_ref()))).collect();
        Ok(format!("{url}{}{}", if query.is_empty() { '?' } else { '&' }, signature.join("&")))
    }
}

fn bucket_error(reason: &str) -> Error {
    Error::Unavailable { operation: "reach the bucket of artifacts", reason: reason.to_owned() }
}

/// Signatures require this encoding.
fn query_pair((name, value): (&str, &str)) -> String {
    format!("{name}={}", percent_encode(value))
}

fn to_base64(sha256: &Sha256Hex) -> String {
    // Never fails, because a `Sha256Hex` has 64 lower-case hex digits.
    let bytes = data_encoding::HEXLOWER.decode(sha256.as_str().as_bytes()).unwrap_or_default();
    data_encoding::BASE64.encode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::job::artifact::ArtifactKind;
    use pullyard_domain::text::id::{ArtifactId, ArtifactName};
    use pullyard_domain::text::time::Timestamp;

    async fn objects(endpoint: Option<&str>, region: &str) -> Objects {
        let credentials =
            aws_credential_types::Credentials::new("AKIA", "secret", Some("session".into()), None, "test");
        let config = aws_config::SdkConfig::builder()
            .region(aws_config::Region::new(region.to_owned()))
            .app_name(aws_config::AppName::new("api").unwrap())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Objects::new(&config, endpoint, "bucket")
    }

    #[tokio::test]
    async fn size_has_the_time_limit_of_the_sdk() {
        // The kernel accepts connections; the server answers none.
        let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", hanging.local_addr().unwrap());
        let mut bucket = objects(Some(&endpoint), "us-east-1").await;
        bucket.limits = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(50)).build();
        assert!(bucket.size("x").await.unwrap_err().is_transient());
    }

    fn artifact() -> Artifact {
        Artifact {
            id: ArtifactId::new(format!("art_{}", "a".repeat(26))).unwrap(),
            kind: ArtifactKind::Patch,
            name: ArtifactName::new("patch.diff").unwrap(),
            size_bytes: 12,
            sha256: Sha256Hex::new("00ff".repeat(16)).unwrap(),
            at: Timestamp::from_millis(0),
            stored: false,
        }
    }

    #[tokio::test]
    async fn upload_url_signs_size_type_and_checksum() {
        let upload = objects(None, "eu-west-1").await.presign_upload("artifacts/x", &artifact()).await.unwrap();
        assert!(upload.url.starts_with("https://bucket.s3.eu-west-1.amazonaws.com/artifacts/x?x-app=api&X-Amz-"));
        let signed = "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256&";
        assert!(upload.url.contains(signed), "{}", upload.url);
        assert!(upload.url.contains("&X-Amz-Expires=900&"), "{}", upload.url);
        assert!(upload.url.contains("X-Amz-Security-Token=session"), "{}", upload.url);
        assert_eq!(upload.headers[0], ("content-length".into(), "12".into()));
        assert_eq!(upload.headers[2].1, "AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8A/wD/AP8=");
        assert_eq!(format!("{upload:?}"), "Upload { .. }", "the presigned URL is a credential");
    }

    #[tokio::test]
    async fn download_url_forces_an_attachment_with_the_file_name() {
        let url = objects(Some("http://127.0.0.1:9/"), "us-east-1").await;
        let url = url.presign_download("artifacts/x", &artifact()).await.unwrap();
        let expected = "http://127.0.0.1:9/bucket/artifacts/x?response-content-disposition=attachment%3B%20filename%3D%22patch.diff%22&response-content-type=application%2Foctet-stream&x-app=api&";
        assert!(url.starts_with(expected), "{url}");
        assert!(url.contains("&X-Amz-Expires=300&"), "{url}");
    }

    #[tokio::test]
    async fn unreachable_bucket_error_omits_the_presigned_url() {
        let bucket = objects(Some("http://127.0.0.1:9"), "us-east-1").await;
        bucket.http().unwrap();
        let error = bucket.head_size("artifacts/x").await.unwrap_err();
        assert!(error.is_transient() && !error.to_string().contains("X-Amz-"), "{error}");
    }

    #[tokio::test]
    async fn bucket_uses_the_endpoint_of_its_partition() {
        assert_eq!(objects(None, "cn-north-1").await.base_url, "https://bucket.s3.cn-north-1.amazonaws.com.cn");
        assert_eq!(objects(None, "eusc-de-east-1").await.base_url, "https://bucket.s3.eusc-de-east-1.amazonaws.eu");
    }
}
