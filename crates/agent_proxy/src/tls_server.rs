//! A TLS server for tests, with a certificate of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    /// In PEM.
    pub(crate) certificate: String,
    pub(crate) connector: TlsConnector,
}

impl TlsServer {
    pub(crate) async fn start(names: Vec<String>, answer: &'static [u8]) -> Self {
        let certified_key = rcgen::generate_simple_self_signed(names).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certified_key.cert.der().clone()).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(certified_key.signing_key.serialize_der()).unwrap();
        let chain = vec![certified_key.cert.der().clone()];
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { address, certificate: certified_key.cert.pem(), connector: TlsConnector::from(Arc::new(client)) }
    }
}
