//! An HTTPS proxy for clients with a fixed API host: it sends one host to the model and rejects all others.
//! Its certificate comes from its own authority, so a client needs the proxy's URL and that authority's certificate.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

use crate::{error::Error, server::DemoModel};

#[derive(Debug)]
pub struct HostProxy {
    url: String,
    authority: String,
    rejected_hosts: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl HostProxy {
    /// Starts a proxy that connects `CONNECT {host}:443` to the model.
    /// Errors: no free port, or the certificate could not be created.
    pub async fn start(model: &DemoModel, host: &str) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|source| Error::Listener { source })?;
        let address = listener.local_addr().map_err(|source| Error::Listener { source })?;
        let (authority, acceptor) = create_certificate(host).map_err(|source| Error::Certificate { source })?;
        let rejected_hosts = Arc::<Mutex<Vec<String>>>::default();
        let proxy = Arc::new(Proxy {
            host: host.to_owned(),
            model: model.url(),
            acceptor,
            rejected_hosts: rejected_hosts.clone(),
        });
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = proxy.clone();
                tokio::spawn(async move {
                    // An error here is the client closing its connection, which is normal.
                    let _ = proxy.serve(stream).await;
                });
            }
        });
        Ok(Self { url: format!("http://{address}"), authority, rejected_hosts, server })
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn rejected_requests(&self) -> Vec<String> {
        self.rejected_hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HostProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Proxy {
    host: String,
    model: String,
    acceptor: TlsAcceptor,
    rejected_hosts: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut client = BufReader::new(stream);
        let mut request_line = String::new();
        client.read_line(&mut request_line).await?;
        let mut line = request_line.clone();
        while !line.trim().is_empty() {
            line.clear();
            client.read_line(&mut line).await?;
        }
        if request_line.split(' ').nth(1) != Some(&format!("{}:443", self.host)) {
            self.rejected_hosts.lock().unwrap_or_else(PoisonError::into_inner).push(request_line.trim().to_owned());
            let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(refusal).await;
        }
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
        let mut client = self.acceptor.accept(client).await?;
        let mut model = TcpStream::connect(self.model.trim_start_matches("http://")).await?;
        copy_bidirectional(&mut client, &mut model).await.map(drop)
    }
}

fn create_certificate(host: &str) -> Result<(String, TlsAcceptor), Box<dyn std::error::Error + Send + Sync>> {
    let mut authority = CertificateParams::new(Vec::new())?;
    // With one common name for both, the host's certificate would look self-signed.
    authority.distinguished_name.push(DnType::CommonName, "authority of a demo model");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec![host.to_owned()])?.signed_by(&key, &authority)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((authority.pem(), TlsAcceptor::from(Arc::new(config))))
}
