//! TLS: certificates from files, which are read again when they change, and handshakes, which have a time limit.
//!
//! Who may do what is not decided by certificates of clients: they only keep out those that have none.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long a client has for its part of a handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a file.
const FILE_BYTES: u64 = 1024 * 1024;

/// Where certificates are.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate, and those that lead to its authority.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities one of which a client needs a certificate of.
    pub client_ca: Option<PathBuf>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no certificate in it, or no key.
    #[error("{} has no {what} in the form of PEM", .file.display())]
    Empty {
        /// The file.
        file: PathBuf,
        /// What should be there.
        what: &'static str,
    },
    /// The certificate and its key do not fit, or cannot be used.
    #[error("the certificate in {} cannot be used: {source}", .file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What the files say.
struct Current {
    /// The SHA-256 of what was read.
    digest: [u8; 32],
    config: Arc<ServerConfig>,
}

/// Encrypts connections.
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: TlsFiles) -> Result<Tls, TlsError> {
        let current = Mutex::new(read(&files, None)?.expect("nothing was known before"));
        Ok(Tls { files, current })
    }

    /// Reads the files again whenever they change, for as long as it is polled. What cannot be used is said once, and changes
    /// nothing.
    pub async fn follow(self: Arc<Tls>) {
        let mut said = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let tls = Arc::clone(&self);
            let problem = match tokio::task::spawn_blocking(move || tls.look()).await {
                Ok(Ok(true)) => {
                    tracing::info!("the certificate was read again");
                    None
                }
                Ok(Ok(false)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem.as_ref().filter(|problem| said.as_ref() != Some(*problem)) {
                tracing::warn!(problem, "the certificate that was read before stays in use");
            }
            said = problem;
        }
    }

    /// Reads the files again. Returns whether they have changed.
    fn look(&self) -> Result<bool, TlsError> {
        let known = self.lock().digest;
        let Some(current) = read(&self.files, Some(known))? else {
            return Ok(false);
        };
        *self.lock() = current;
        Ok(true)
    }

    /// Does the server's part of a handshake, if the client does its own in time.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let config = Arc::clone(&self.lock().config);
        let handshake = TlsAcceptor::from(config).accept(stream);
        let done = tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await;
        done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the files; none if they are what is known.
fn read(files: &TlsFiles, known: Option<[u8; 32]>) -> Result<Option<Current>, TlsError> {
    let cert = bytes(&files.cert)?;
    let key = bytes(&files.key)?;
    let ca = files.client_ca.as_deref().map(bytes).transpose()?;
    let mut digest = Sha256::new();
    for part in [Some(&cert), Some(&key), ca.as_ref()].into_iter().flatten() {
        digest.update(Sha256::digest(part));
    }
    let digest = digest.finalize().into();
    if known == Some(digest) {
        return Ok(None);
    }
    let config = Arc::new(config(files, &cert, &key, ca.as_deref())?);
    Ok(Some(Current { digest, config }))
}

fn bytes(file: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::File {
        file: file.to_owned(),
        source,
    };
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > FILE_BYTES {
        return Err(failed(io::ErrorKind::FileTooLarge.into()));
    }
    std::fs::read(file).map_err(failed)
}

fn config(files: &TlsFiles, cert: &[u8], key: &[u8], ca: Option<&[u8]>) -> Result<ServerConfig, TlsError> {
    let unusable = |source: rustls::Error| TlsError::Unusable {
        file: files.cert.clone(),
        source: source.into(),
    };
    let chain = certificates(&files.cert, cert)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Empty {
        file: files.key.clone(),
        what: "private key",
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let builder = match (&files.client_ca, ca) {
        (Some(file), Some(ca)) => {
            let unusable = |source: Box<dyn std::error::Error + Send + Sync>| TlsError::Unusable {
                file: file.clone(),
                source,
            };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file, ca)? {
                roots.add(certificate).map_err(|error| unusable(error.into()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| unusable(error.into()))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.ok().filter(|all| !all.is_empty());
    all.ok_or_else(|| TlsError::Empty {
        file: file.to_owned(),
        what: "certificate",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../plugins/http/testdata")
            .join(name)
    }

    fn files() -> TlsFiles {
        TlsFiles {
            cert: fixture("certificate.pem"),
            key: fixture("key.pem"),
            client_ca: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_shake_hands_is_given_up() {
        let tls = Tls::load(files()).unwrap();
        let (near, _far) = tokio::io::duplex(64);
        let begun = tokio::time::Instant::now();
        let given_up = tls.accept(near).await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), HANDSHAKE_WITHIN);
    }

    #[test]
    fn files_that_are_no_certificates_are_named() {
        let said = |files: TlsFiles| Tls::load(files).map(|_| ()).unwrap_err().to_string();
        let no_cert = said(TlsFiles {
            cert: fixture("key.pem"),
            ..files()
        });
        assert!(no_cert.contains("key.pem has no certificate"), "{no_cert}");
        let no_key = said(TlsFiles {
            key: fixture("certificate.pem"),
            ..files()
        });
        assert!(no_key.contains("certificate.pem has no private key"), "{no_key}");
        let none = said(TlsFiles {
            client_ca: Some("nowhere.pem".into()),
            ..files()
        });
        assert!(none.contains("cannot read nowhere.pem"), "{none}");
    }
}
