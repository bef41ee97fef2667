//! etcd's configuration file as agents are given it: endpoints, and the certificates for those with TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::EtcdError;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    endpoints: Vec<String>,
    /// The templates of 1.4 and 1.5 call it `ca-file`.
    #[serde(alias = "ca-file")]
    trusted_ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
}

/// A member of etcd.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    url: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// A connection to a member.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Reads the endpoints of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Endpoint>, EtcdError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| EtcdError::Read { path: path.to_owned(), source })?;
    let invalid = |reason: String| EtcdError::Config { path: path.to_owned(), reason };
    let file: File = serde_saphyr::from_str(&text).map_err(|error| invalid(error.to_string()))?;
    let mut endpoints = Vec::new();
    for url in &file.endpoints {
        let url = url.trim_end_matches('/').to_owned();
        let tls = if let Some(address) = url.strip_prefix("https://") {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                .map_err(|error| invalid(format!("endpoint {url}: {error}")))?;
            Some((Arc::new(client(&file).map_err(|error| named(error, path, &url))?), name))
        } else if url.starts_with("http://") {
            None
        } else {
            return Err(invalid(format!("endpoint {url} begins with neither http:// nor https://")));
        };
        endpoints.push(Endpoint { url, tls });
    }
    if endpoints.is_empty() {
        return Err(invalid("it names no endpoint".to_owned()));
    }
    Ok(endpoints)
}

/// What is wrong with the certificates for an endpoint.
enum Unusable {
    Missing(&'static str),
    File(PathBuf, io::Error),
    Pair(rustls::Error),
}

fn named(error: Unusable, path: &Path, url: &str) -> EtcdError {
    let reason = match error {
        Unusable::File(path, source) => return EtcdError::Read { path, source },
        Unusable::Missing(key) => format!("endpoint {url} needs {key}"),
        Unusable::Pair(error) => format!("cert-file and key-file cannot be used: {error}"),
    };
    EtcdError::Config { path: path.to_owned(), reason }
}

/// TLS settings: the trusted authority, and an optional client certificate.
fn client(file: &File) -> Result<ClientConfig, Unusable> {
    let ca = file.trusted_ca_file.as_deref().ok_or(Unusable::Missing("trusted-ca-file"))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca)? {
        roots.add(certificate).map_err(|error| Unusable::File(ca.to_owned(), io::Error::other(error)))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Unusable::Pair)?
        .with_root_certificates(roots);
    match (&file.cert_file, &file.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| Unusable::File(key.clone(), io::Error::other(error)))?;
            builder.with_client_auth_cert(certificates(cert)?, key).map_err(Unusable::Pair)
        }
        (Some(_), None) => Err(Unusable::Missing("key-file")),
        (None, Some(_)) => Err(Unusable::Missing("cert-file")),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.map_err(|error| Unusable::File(path.to_owned(), io::Error::other(error)))
}

impl Endpoint {
    /// The address as written in the file.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        self.url.split_once("://").map_or(&self.url, |(_, address)| address)
    }

    /// Connects to it.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address()).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((config, name)) => {
                Ok(Box::new(TlsConnector::from(config.clone()).connect(name.clone(), stream).await?))
            }
        }
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
