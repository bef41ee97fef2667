//! Certificates for one cluster and its external services; they are used for nothing else.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde::{Deserialize, Serialize};

/// A certificate could not be created.
#[derive(Debug, thiserror::Error)]
#[error("a certificate could not be created")]
pub struct PkiError(#[from] rcgen::Error);

/// A certificate and its private key, PEM.
#[derive(Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Certificate.
    pub cert: String,
    /// Private key (PKCS #8).
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

/// A certificate authority that lives as long as the process that starts a cluster.
pub struct Authority {
    /// Its certificate, PEM.
    pub cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// When no key can be created.
    pub fn new(name: &str) -> Result<Self, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let cert = params.self_signed(&key)?.pem();
        Ok(Self { cert, issuer: Issuer::new(params, key) })
    }

    /// A client certificate: Kubernetes reads the user from the common name and groups from the organisations.
    ///
    /// # Errors
    /// When no key can be created.
    pub fn client(&self, user: &str, group: Option<&str>) -> Result<Identity, PkiError> {
        self.issue(user, group, vec![], vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    /// A serving certificate for the given addresses and names.
    ///
    /// # Errors
    /// When a name is not valid in a certificate, or no key can be created.
    pub fn server(&self, name: &str, sans: &[&str]) -> Result<Identity, PkiError> {
        self.issue(name, None, alternatives(sans)?, vec![ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// The same for an etcd with JSON clients: its gateway is itself a client, with this certificate.
    ///
    /// # Errors
    /// When a name is not valid in a certificate, or no key can be created.
    pub fn etcd(&self, name: &str, sans: &[&str]) -> Result<Identity, PkiError> {
        let usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(name, None, alternatives(sans)?, usages)
    }

    fn issue(
        &self,
        name: &str,
        group: Option<&str>,
        sans: Vec<SanType>,
        usages: Vec<ExtendedKeyUsagePurpose>,
    ) -> Result<Identity, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.subject_alt_names = sans;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = usages;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Identity { cert, key: key.serialize_pem() })
    }
}

fn alternatives(names: &[&str]) -> Result<Vec<SanType>, PkiError> {
    let alternative = |name: &&str| match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_not_an_address) => Ok(SanType::DnsName((*name).try_into()?)),
    };
    names.iter().map(alternative).collect()
}

/// A key pair for signing service-account tokens; the public key is in the place of the certificate.
pub(crate) fn token_key() -> Result<Identity, PkiError> {
    use rcgen::PublicKeyData as _;
    let key = KeyPair::generate()?;
    let public = pem(&key.subject_public_key_info());
    Ok(Identity { cert: public, key: key.serialize_pem() })
}

fn pem(der: &[u8]) -> String {
    let body = k8s_openapi::ByteString(der.to_vec());
    let text =
        serde_json::to_value(&body).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
    format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
}

/// A kubeconfig for one user of one cluster, as JSON (which is YAML as well).
pub(crate) fn kubeconfig(cluster: &str, server: &str, ca: &str, user: &Identity) -> String {
    let data = |text: &str| serde_json::json!(k8s_openapi::ByteString(text.as_bytes().to_vec()));
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{"name": cluster, "cluster": {
            "server": server, "certificate-authority-data": data(ca)}}],
        "users": [{"name": cluster, "user": {
            "client-certificate-data": data(&user.cert), "client-key-data": data(&user.key)}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_key_of_token_pair_is_spki_pem() {
        let Identity { cert: public, key } = token_key().unwrap();
        assert!(key.starts_with("-----BEGIN PRIVATE KEY-----"));
        // An uncompressed P-256 key: 26 bytes of algorithm, 65 of point.
        assert_eq!(public.lines().nth(1).unwrap().len(), (26_usize + 65).div_ceil(3) * 4);
    }

    #[test]
    fn private_keys_do_not_reach_debug_output() {
        let identity = Authority::new("ca").unwrap().client("admin", Some("system:masters")).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity(redacted)");
    }
}
