//! Taking connections, a limited number at a time, and ending them when the server stops. What they ask for is not looked at here.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use crate::caller::Peer;
use crate::listen::Listener;
use crate::patient::Patient;
use crate::tls::Tls;

/// Connections of one place at the same time. Others wait to be taken.
const CONNECTIONS: usize = 512;
/// How long a client has to send the head of a request. A connection that asks for nothing is closed then, too.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// Headers of a request, and their bytes with the request's first line.
const HEADERS: usize = 64;
const HEAD_BYTES: usize = 64 * 1024;
/// How long nothing is taken after the system refused to give a connection, as it does when it is out of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections until the server stops, and returns when all of them have ended.
pub async fn take(
    listener: Listener,
    tls: Option<Arc<Tls>>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let stop = stopped.clone();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            break;
        };
        tokio::select! {
            taken = one(&listener) => match taken {
                Ok((stream, peer)) => {
                    let served = serve(stream, peer, tls.clone(), router.clone(), stop.clone());
                    connections.spawn(async move {
                        served.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            () = told(&mut stopped) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// What is read and written of a client.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn one(listener: &Listener) -> std::io::Result<(Box<dyn Stream>, Peer)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, address) = listener.accept().await?;
            let peer = Peer::of(listener.local_addr()?, address);
            // It is slower without, and a client that has gone away already is its own affair.
            let _ = stream.set_nodelay(true);
            Ok((Box::new(stream), peer))
        }
        #[cfg(unix)]
        Listener::Unix(listener, _) => loop {
            let (stream, _) = listener.accept().await?;
            // The file says the same, but not between its creation and the change of its mode.
            let own = nix::unistd::geteuid().as_raw();
            match stream.peer_cred().map(|peer| peer.uid()) {
                Ok(uid) if uid == own || uid == 0 => return Ok((Box::new(stream), Peer::Owner)),
                Ok(uid) => tracing::warn!(uid, "another user's connection was refused"),
                Err(error) => tracing::debug!(%error, "a connection's user is not known"),
            }
        },
    }
}

async fn serve(
    stream: Box<dyn Stream>,
    peer: Peer,
    tls: Option<Arc<Tls>>,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let stream = match tls {
        None => stream,
        Some(tls) => tokio::select! {
            done = tls.accept(stream) => match done {
                Ok(stream) => Box::new(stream),
                Err(error) => return tracing::debug!(%error, "a handshake failed"),
            },
            () = told(&mut stopped) => return,
        },
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        // A router is always ready.
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream)), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return log(ended),
        () = told(&mut stopped) => connection.as_mut().graceful_shutdown(),
    }
    log(connection.await);
}

/// Waits until the server is told to stop.
pub async fn told(stopped: &mut watch::Receiver<bool>) {
    // It is, too, if there is none any more who could say so.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Clients go away and send nonsense; that is theirs to know.
fn log(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
