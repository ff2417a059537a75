use super::*;
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A proxy, and the refusals that it reports.
struct World {
    address: SocketAddr,
    refusals: mpsc::UnboundedReceiver<Refusal>,
}

impl World {
    /// A proxy whose allowed names all have this address, which counts as public if it is a loopback address.
    async fn with_server(rules: &[&str], server: SocketAddr) -> Self {
        Self::start(rules, |egress| {
            egress.fixed_address = Some(server);
            egress.is_allowed_address = |address| address.is_loopback();
        })
        .await
    }

    async fn start(rules: &[&str], change: impl FnOnce(&mut Egress)) -> Self {
        let (sender, refusals) = mpsc::unbounded_channel();
        let report = Box::new(move |refusal| sender.send(refusal).unwrap_or_default());
        let mut egress = Egress::new(AllowList::parse(rules).unwrap(), report);
        change(&mut egress);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(egress.serve(listener));
        Self { address, refusals }
    }

    /// The status and all further bytes of the answer.
    async fn ask(&self, request: &str) -> String {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn connect(&self, target: &str) -> (String, TcpStream) {
        let mut client = TcpStream::connect(self.address).await.unwrap();
        client.write_all(format!("CONNECT {target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap(), client)
    }
}

fn refusal(host: &str, reason: Reason) -> Refusal {
    Refusal { host: host.into(), reason }
}

/// A TLS server for `allowed.test` and `other.test` that answers with four bytes, and a client that trusts it.
async fn tls_server() -> (SocketAddr, TlsConnector) {
    let names = ["allowed.test".to_owned(), "other.test".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let chain = vec![made.cert.der().clone()];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            stream.write_all(b"fine").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (address, TlsConnector::from(Arc::new(client)))
}

async fn read_over_tls(client: TcpStream, connector: &TlsConnector, name: &'static str) -> io::Result<String> {
    let mut stream = connector.connect(ServerName::try_from(name).unwrap(), client).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn tunnel_to_an_allowed_name_carries_tls() {
    let (server, connector) = tls_server().await;
    let mut world = World::with_server(&["allowed.test"], server).await;
    let (head, client) = world.connect("Allowed.Test:443").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(read_over_tls(client, &connector, "allowed.test").await.unwrap(), "fine");
    assert_eq!(world.refusals.try_recv().ok(), None);
}

#[tokio::test]
async fn tunnel_ends_when_tls_names_another_server() {
    let (server, connector) = tls_server().await;
    let mut world = World::with_server(&["allowed.test"], server).await;
    let (_, client) = world.connect("allowed.test:443").await;
    assert!(read_over_tls(client, &connector, "other.test").await.is_err());
    assert_eq!(world.refusals.recv().await.unwrap(), refusal("allowed.test", Reason::OtherServerName));
    let (_, mut client) = world.connect("allowed.test:443").await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "plain bytes are no TLS");
}

#[tokio::test]
async fn other_names_addresses_and_ports_are_refused() {
    let (server, _) = tls_server().await;
    let mut world = World::with_server(&["allowed.test"], server).await;
    for (request, host, reason) in [
        ("CONNECT evil.test:443 HTTP/1.1", "evil.test", Reason::NotAllowed),
        ("CONNECT 169.254.169.254:443 HTTP/1.1", "169.254.169.254", Reason::NotAllowed),
        ("CONNECT [::1]:443 HTTP/1.1", "[::1]", Reason::NotAllowed),
        ("CONNECT allowed.test:22 HTTP/1.1", "allowed.test", Reason::Port),
        ("GET http://169.254.170.2/v2/credentials HTTP/1.1", "169.254.170.2", Reason::NotAllowed),
        ("GET http://allowed.test:8080/ HTTP/1.1", "allowed.test:8080", Reason::NotAllowed),
        ("GET http://user@allowed.test/ HTTP/1.1", "user@allowed.test", Reason::NotAllowed),
        ("POST http://allowed.test/ HTTP/1.1", "", Reason::InvalidRequest),
    ] {
        let answer = world.ask(&format!("{request}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains(reason.sentence()), "{request}: {answer}");
        assert_eq!(world.refusals.recv().await.unwrap(), refusal(host, reason));
    }
    world.ask("CONNECT evil.test:443 HTTP/1.1\r\n\r\n").await;
    assert_eq!(world.refusals.try_recv().ok(), None, "a host is reported once");
}

#[tokio::test]
async fn name_with_a_private_address_is_refused() {
    let (server, _) = tls_server().await;
    let mut world = World::start(&["allowed.test"], |egress| egress.fixed_address = Some(server)).await;
    assert!(world.ask("CONNECT allowed.test:443 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
    assert_eq!(world.refusals.recv().await.unwrap(), refusal("allowed.test", Reason::PrivateAddress));
}

#[tokio::test]
async fn download_without_tls_reaches_an_allowed_host_only() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::with_server(&["deb.test"], listener.local_addr().unwrap()).await;
    let answered = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 1024];
        let count = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\npackage").await.unwrap();
        String::from_utf8_lossy(&head[..count]).into_owned()
    });
    let answer = world.ask("GET http://deb.test/pool/a.deb HTTP/1.1\r\nHost: evil.test\r\n\r\n").await;
    assert!(answer.ends_with("package"), "{answer}");
    let head = answered.await.unwrap();
    assert!(head.starts_with("GET /pool/a.deb HTTP/1.1\r\nHost: deb.test\r\n") && !head.contains("evil"), "{head}");
}

#[tokio::test]
async fn reports_stop_after_many_hosts() {
    let mut world = World::start(&[], |_| ()).await;
    for number in 0..=MAX_REPORTED_HOSTS {
        world.ask(&format!("CONNECT h{number}.test:443 HTTP/1.1\r\n\r\n")).await;
    }
    assert_eq!(std::iter::from_fn(|| world.refusals.try_recv().ok()).count(), MAX_REPORTED_HOSTS);
}
