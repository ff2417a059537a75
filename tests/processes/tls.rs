//! TLS proxies in front of the embedded AWS, with a private authority.

use crate::prelude::*;
use pullyard_emulator::Endpoints;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use std::sync::OnceLock;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

const SYSTEM_BUNDLES: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// TLS proxies of four services; their URLs are known before the services start.
pub(crate) struct Tls {
    urls: [String; 4],
    behind: [Arc<OnceLock<String>>; 4],
    /// The test authority and the system's authorities, so that reading them costs as much as on AWS.
    bundle: PathBuf,
}

impl Tls {
    /// Starts the proxies, without services yet.
    pub(crate) async fn start(folder: &Path) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        // With equal names the certificate would look self-signed.
        authority.distinguished_name.push(DnType::CommonName, "authority of a test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &authority).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));

        let of_the_system = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let bundle = folder.join("bundle.pem");
        std::fs::write(&bundle, of_the_system.unwrap_or_default() + &authority.pem()).unwrap();

        let mut urls = <[String; 4]>::default();
        let behind: [Arc<OnceLock<String>>; 4] = Default::default();
        for (url, behind) in urls.iter_mut().zip(&behind) {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            *url = format!("https://{}", listener.local_addr().unwrap());
            tokio::spawn(serve(listener, acceptor.clone(), Arc::clone(behind)));
        }
        Self { urls, behind, bundle }
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let names = [
            "PULLYARD_DYNAMODB_ENDPOINT",
            "PULLYARD_SQS_ENDPOINT",
            "PULLYARD_ECS_ENDPOINT",
            "PULLYARD_SECRETSMANAGER_ENDPOINT",
        ];
        let endpoints = names.into_iter().zip(&self.urls).map(|(name, url)| (name.to_owned(), url.clone()));
        // Clear SSL_CERT_DIR, which some machines set. Lambda has no such folder, and reading it would dominate the
        // measurement.
        let trusted = [("SSL_CERT_FILE", self.bundle.display().to_string()), ("SSL_CERT_DIR", String::new())];
        endpoints.chain(trusted.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    pub(crate) fn connect(&self, services: &Endpoints) {
        let urls = [&services.dynamodb, &services.sqs, &services.ecs, &services.secretsmanager];
        for (behind, url) in self.behind.iter().zip(urls) {
            behind.set(url.strip_prefix("http://").unwrap().to_owned()).unwrap();
        }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: Arc<OnceLock<String>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (acceptor, behind) = (acceptor.clone(), Arc::clone(&behind));
        tokio::spawn(async move {
            let address = behind.get()?;
            client.set_nodelay(true).ok()?;
            let mut client = acceptor.accept(client).await.ok()?;
            let mut service = TcpStream::connect(address).await.ok()?;
            service.set_nodelay(true).ok()?;
            // Ignore errors: a killed function breaks its connections.
            copy_bidirectional(&mut client, &mut service).await.ok()
        });
    }
}
