use super::*;
use crate::tls_server::TlsServer;
use rustls_pki_types::ServerName;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

pub(super) type Resolver = dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync;

/// A proxy, and the refusals that it reports.
struct World {
    address: SocketAddr,
    refusals: mpsc::UnboundedReceiver<Refusal>,
}

impl World {
    /// A proxy whose allowed names all have this address, which counts as public if it is a loopback address.
    async fn with_server(rules: &[&str], server: SocketAddr) -> Self {
        Self::start(rules, |egress| {
            egress.resolver = Some(Box::new(move |_| vec![server]));
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
    async fn send(&self, request: &str) -> String {
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

async fn tls_server() -> (SocketAddr, TlsConnector) {
    let names = ["allowed.test", "other.test"].map(str::to_owned).to_vec();
    let server = TlsServer::start(names, b"fine").await;
    (server.address, server.connector)
}

async fn read_over_tls(client: TcpStream, connector: &TlsConnector, name: &'static str) -> io::Result<String> {
    let mut stream = connector.connect(ServerName::try_from(name).unwrap(), client).await?;
    stream.write_all(b"hello").await?;
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
        ("CONNECT allowed.test:80 HTTP/1.1", "allowed.test", Reason::Port),
        ("GET http://allowed.test/ HTTP/1.1", "allowed.test", Reason::PlainHttp),
        ("GET http://169.254.170.2/v2/credentials HTTP/1.1", "169.254.170.2", Reason::PlainHttp),
        ("POST http://allowed.test:443/ HTTP/1.1", "allowed.test:443", Reason::PlainHttp),
        ("GET / HTTP/1.1", "", Reason::InvalidRequest),
    ] {
        let answer = world.send(&format!("{request}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains(reason.sentence()), "{request}: {answer}");
        assert_eq!(world.refusals.recv().await.unwrap(), refusal(host, reason));
    }
}

#[tokio::test]
async fn name_with_a_private_address_is_refused() {
    const PUBLIC: &str = "1.1.1.1";
    for ips in [
        vec!["127.0.0.1"],
        vec!["10.1.2.3"],
        vec!["172.16.0.1"],
        vec!["192.168.1.1"],
        vec!["100.64.0.1"],
        vec!["169.254.169.254"],
        vec!["0.0.0.0"],
        vec!["::1"],
        vec!["fc00::1"],
        vec!["fd00:ec2::254"],
        vec!["::ffff:169.254.169.254"],
        vec![PUBLIC, "10.1.2.3"],
    ] {
        let ips: Vec<SocketAddr> = ips.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 443)).collect();
        let resolver = ips.clone();
        let change = |egress: &mut Egress| egress.resolver = Some(Box::new(move |_| resolver.clone()));
        let mut world = World::start(&["*"], change).await;
        let answer = world.send("CONNECT allowed.test:443 HTTP/1.1\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{ips:?}");
        assert_eq!(world.refusals.recv().await.unwrap(), refusal("allowed.test", Reason::PrivateAddress), "{ips:?}");
    }
}

#[tokio::test]
async fn name_that_changes_its_address_is_dialled_where_it_was_checked() {
    let (server, connector) = tls_server().await;
    let lookups = Arc::new(AtomicUsize::new(0));
    let lookup_counter = Arc::clone(&lookups);
    let mut world = World::start(&["allowed.test"], |egress| {
        egress.is_allowed_address = |address| address.is_loopback();
        egress.resolver = Some(Box::new(move |_| match lookup_counter.fetch_add(1, Ordering::SeqCst) {
            0 => vec![server],
            _ => vec!["169.254.169.254:443".parse().unwrap()],
        }));
    })
    .await;
    let (_, client) = world.connect("allowed.test:443").await;
    assert_eq!(read_over_tls(client, &connector, "allowed.test").await.unwrap(), "fine");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    assert!(world.send("CONNECT allowed.test:443 HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 403 "));
    assert_eq!(world.refusals.recv().await.unwrap(), refusal("allowed.test", Reason::PrivateAddress));
}

#[tokio::test]
async fn address_in_any_form_is_refused_without_a_lookup() {
    let change = |egress: &mut Egress| egress.resolver = Some(Box::new(|host| panic!("looked up {host}")));
    let mut world = World::start(&["*"], change).await;
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "127.1",
        "1.1.1.1",
        "[::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "localhost",
    ] {
        let answer = world.send(&format!("CONNECT {host}:443 HTTP/1.1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{host}: {answer}");
        assert_eq!(world.refusals.recv().await.unwrap(), refusal(host, Reason::NotAllowed));
    }
}

#[tokio::test]
async fn request_without_an_end_is_refused_in_time_and_size() {
    let world = World::start(&["*"], |egress| egress.head_timeout = Duration::from_millis(1)).await;
    assert!(world.send("CONNECT allowed.te").await.contains(Reason::InvalidRequest.sentence()));
    let world = World::start(&["*"], |_| ()).await;
    let mut client = TcpStream::connect(world.address).await.unwrap();
    while client.write_all(&[b'x'; 4096]).await.is_ok() {}
}
