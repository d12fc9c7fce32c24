//! The client: how connections are made, and that none is made to an address the rule refuses.
//!
//! Every connection comes through here, whatever led to it (the job's url, a redirect, a name that resolves to
//! something else than a moment ago), and the addresses that are checked are the very ones that are connected to.
//! Proxies are not used; what the environment says of them is ignored.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use queuectl_plugin_api::Error;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::address::{Refused, Rule};

/// Longest to connect to one host.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection is kept for the next job: shorter than servers keep theirs (5 s is common), or a request would
/// now and then meet a connection that is being closed.
const KEEP_IDLE: Duration = Duration::from_secs(3);
/// Longest head of an answer, in bytes.
const HEAD_BYTES: usize = 64 * 1024;

/// What requests are sent with. Cheap to clone; connections are shared.
pub type Client = HyperClient<HttpsConnector<Guard>, Full<Bytes>>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Makes a client whose connections obey the rule.
pub fn client(rule: Rule) -> Result<Client, Error> {
    client_with(rule, roots())
}

fn client_with(rule: Rule, roots: RootCertStore) -> Result<Client, Error> {
    let mut http = HttpConnector::new_with_resolver(Resolver {
        system: GaiResolver::new(),
        rule,
    });
    // For https the same connector makes the connection beneath.
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT));
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(tls(roots)?)
        .https_or_http()
        .enable_all_versions()
        .wrap_connector(Guard { http, rule });
    Ok(HyperClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .http1_max_buf_size(HEAD_BYTES)
        .http2_max_header_list_size(HEAD_BYTES as u32)
        .build(https))
}

/// Whom the machine trusts; where it has no certificates (a bare container), whom Mozilla's browsers trust.
fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

fn tls(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(format!("cannot set TLS up: {error}")))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Connects, unless the url has an address in it that is refused. Names are left to the [`Resolver`].
#[derive(Debug, Clone)]
pub struct Guard {
    http: HttpConnector<Resolver>,
    rule: Rule,
}

impl Service<Uri> for Guard {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // The connector below parses the same text with the same function, so what is no address here is a name there.
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>()
            && let Err(refused) = self.rule.check(address)
        {
            return Box::pin(async move { Err(refused.into()) });
        }
        let connected = self.http.call(uri);
        Box::pin(async move { Ok(connected.await?) })
    }
}

/// Looks a name up, and gives only the addresses that are allowed.
#[derive(Debug, Clone)]
pub struct Resolver {
    system: GaiResolver,
    rule: Rule,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.system.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (rule, text) = (self.rule, name.to_string());
        let found = self.system.call(name);
        Box::pin(async move {
            let allowed = allowed(rule, &text, found.await?)?;
            Ok(allowed.into_iter())
        })
    }
}

/// The addresses of a name that are allowed. An error if it has only others.
fn allowed(
    rule: Rule,
    name: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Refused> {
    let (mut allowed, mut refusal) = (Vec::new(), None);
    for address in found {
        match rule.check(address.ip()) {
            Ok(()) => allowed.push(address),
            Err(refused) => {
                refusal = Some(Refused {
                    name: name.to_owned(),
                    ..refused
                });
            }
        }
    }
    match refusal {
        Some(refused) if allowed.is_empty() => Err(refused),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_name_has_only_its_allowed_addresses() {
        let mixed = addresses(&["10.0.0.1:0", "8.8.8.8:0", "[::1]:0"]);
        let get = |rule, list: &[SocketAddr]| allowed(rule, "a.example", list.iter().copied());
        assert_eq!(get(Rule::Public, &mixed).unwrap(), addresses(&["8.8.8.8:0"]));
        assert_eq!(get(Rule::All, &mixed).unwrap(), mixed);
        let refused = get(Rule::Public, &addresses(&["10.0.0.1:0"])).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("'a.example' is 10.0.0.1, which is refused")
        );
        assert_eq!(get(Rule::Public, &[]).unwrap(), []);
    }

    #[test]
    fn the_connector_refuses_by_itself() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // Only the connector checks URLs here, as with a redirect or a name that was rebound.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "0",
        ] {
            let uri: Uri = format!("http://{host}:{port}/").parse().unwrap();
            let answer = async {
                let request = client(Rule::Public).unwrap().get(uri);
                tokio::time::timeout(CONNECT, request).await
            };
            let answer = runtime.block_on(answer).expect("refused at once");
            let text = crate::failure::text(&answer.unwrap_err());
            assert!(text.contains("is refused"), "{host}: {text}");
        }
        assert!(listener.accept().is_err(), "nobody connected");
        let uri: Uri = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let allowed = async {
            let request = client(Rule::All).unwrap().get(uri);
            let _ = tokio::time::timeout(Duration::from_millis(200), request).await;
        };
        runtime.block_on(allowed);
        assert!(listener.accept().is_ok(), "the control");
    }

    #[test]
    fn http_2_is_spoken_with_servers_that_know_it() {
        use http_body_util::BodyExt;
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

        let file = |name| {
            std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("testdata")
                .join(name)
        };
        let certificate = CertificateDer::from_pem_file(file("certificate.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));

        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = acceptor.accept(stream).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
                let serve =
                    hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
                        let body = request.into_body().collect().await?.to_bytes();
                        Ok::<_, hyper::Error>(http::Response::new(Full::new(body)))
                    });
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), serve)
                    .await
            });
            let client = client_with(Rule::All, roots).unwrap();
            // One after the other, over the only connection that is accepted.
            for text in ["one", "two"] {
                let mut request = http::Request::new(Full::new(Bytes::from(text)));
                *request.uri_mut() = format!("https://localhost:{port}/").parse().unwrap();
                let answer = client.request(request).await.unwrap();
                assert_eq!(answer.version(), http::Version::HTTP_2);
                assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), text);
            }
        });
    }
}
