use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use rstest::rstest;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use super::*;

/// Certificates of both sides as files: `ca.crt`, `server.crt`, `server.key`, `client.crt` and `client.key`.
fn certificates_in(folder: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (name, usage) in
        [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        std::fs::write(folder.join(format!("{name}.crt")), certificate).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

/// A server that wants to see a certificate of its clients, and echoes.
async fn server(folder: &Path) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(folder.join("ca.crt")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let certificates = CertificateDer::pem_file_iter(folder.join("server.crt")).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            certificates.map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let byte = stream.read_u8().await.unwrap();
            stream.write_u8(byte).await.unwrap();
        }
    });
    port
}

fn written(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("etcd.config");
    std::fs::write(&path, text.replace("DIR", folder.to_str().unwrap())).unwrap();
    path
}

/// Sends a byte to the server and waits for it to come back.
async fn exchange(endpoint: &Endpoint) -> io::Result<u8> {
    let mut stream = endpoint.connect().await?;
    stream.write_u8(7).await?;
    stream.read_u8().await
}

#[test]
fn endpoints_without_certificates() {
    let folder = TempDir::new().unwrap();
    let read = read(&written(folder.path(), "---\nendpoints:\n- http://10.250.0.1:2379/\n")).unwrap();
    assert_eq!((read[0].url(), read[0].address()), ("http://10.250.0.1:2379", "10.250.0.1:2379"));
    assert!(read[0].tls.is_none());
}

#[rstest]
#[case::none("[]", "it names no endpoint")]
#[case::other("['etcd:2379']", "endpoint etcd:2379 begins with neither http:// nor https://")]
#[case::whom_to_trust("['https://CHANGE-ME:2379']", "endpoint https://CHANGE-ME:2379 needs trusted-ca-file")]
#[case::half(
    "['https://a:2379']\nca-file: DIR/ca.crt\ncert-file: DIR/client.crt",
    "endpoint https://a:2379 needs key-file"
)]
#[case::not_there(
    "['https://a:2379']\ntrusted-ca-file: /no/such.crt",
    "/no/such.crt of the kvstore's configuration cannot be read"
)]
fn what_is_wrong_is_named(#[case] endpoints: &str, #[case] said: &str) {
    let folder = TempDir::new().unwrap();
    certificates_in(folder.path());
    let error = read(&written(folder.path(), &format!("endpoints: {endpoints}\n"))).unwrap_err();
    assert!(error.to_string().contains(said), "{error}");
}

#[rstest]
#[case::of_1_5("ca-file")]
#[case::of_1_6("trusted-ca-file")]
#[tokio::test]
async fn both_sides_show_their_certificates(#[case] key: &str) {
    let folder = TempDir::new().unwrap();
    certificates_in(folder.path());
    let port = server(folder.path()).await;
    let files = "cert-file: DIR/client.crt\nkey-file: DIR/client.key";
    let text = format!("endpoints: ['https://127.0.0.1:{port}']\n{key}: DIR/ca.crt\n{files}\n");
    let endpoints = read(&written(folder.path(), &text)).unwrap();
    assert_eq!(exchange(&endpoints[0]).await.unwrap(), 7);
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let folder = TempDir::new().unwrap();
    certificates_in(folder.path());
    let port = server(folder.path()).await;
    let text = format!("endpoints: ['https://127.0.0.1:{port}']\ntrusted-ca-file: DIR/ca.crt\n");
    let endpoints = read(&written(folder.path(), &text)).unwrap();
    assert!(exchange(&endpoints[0]).await.is_err());
}

#[tokio::test]
async fn a_server_of_another_authority_is_refused() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    certificates_in(folder.path());
    certificates_in(other.path());
    let port = server(other.path()).await;
    let files = "cert-file: DIR/client.crt\nkey-file: DIR/client.key";
    let text = format!("endpoints: ['https://127.0.0.1:{port}']\ntrusted-ca-file: DIR/ca.crt\n{files}\n");
    let endpoints = read(&written(folder.path(), &text)).unwrap();
    let error = exchange(&endpoints[0]).await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}
