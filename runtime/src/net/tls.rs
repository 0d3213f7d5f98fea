//! Who may connect: TLS 1.3, mutual, with raw public keys (RFC 7250) in place of certificates.
//!
//! A node is its key, so there is nothing to certify: a server takes the keys it was told of, a
//! client takes the one key it meant. Sessions are never resumed: a key that was taken off the
//! list gets in nowhere, and no memory is held for those who left.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::identity::Identity;
use crate::address::NodeId;

/// What nodes speak with each other.
pub const NODE_ALPN: &[u8] = b"edge-host/0";

/// What the command line speaks with a node.
pub const ADMIN_ALPN: &[u8] = b"edge-host-admin/0";

/// TLS wants a name; keys make it meaningless, and it is not sent.
pub const SERVER_NAME: &str = "edge-host";

/// SubjectPublicKeyInfo of an Ed25519 key is this and the 32 bytes of the key (RFC 8410, 10.1).
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Between two lines in the log about strangers; about the same one again after [`AGAIN`]. They
/// cannot fill the log.
const NEXT: Duration = Duration::from_secs(1);

/// As [`NEXT`].
const AGAIN: Duration = Duration::from_secs(60);

/// The keys that may connect to this node. Changes hold from the next handshake on.
#[derive(Debug)]
pub struct Allowed {
    peers: RwLock<HashSet<NodeId>>,
    admin: Option<NodeId>,
    named: Mutex<Option<(NodeId, Instant)>>,
}

/// Begins the error of a client that finds another key than the one it meant.
pub const ANOTHER_NODE: &str = "another node is there";

impl Allowed {
    /// Nobody yet but the administrator, if there is one.
    pub fn new(admin: Option<NodeId>) -> Self {
        Self { peers: RwLock::default(), admin, named: Mutex::default() }
    }

    /// Lets a peer in.
    pub fn insert(&self, peer: NodeId) {
        self.peers.write().unwrap_or_else(PoisonError::into_inner).insert(peer);
    }

    /// Lets a peer in no more.
    pub fn remove(&self, peer: NodeId) {
        self.peers.write().unwrap_or_else(PoisonError::into_inner).remove(&peer);
    }

    /// Whether this key may speak this protocol.
    pub fn fits(&self, key: NodeId, alpn: &[u8]) -> bool {
        match alpn {
            NODE_ALPN => self.is_peer(key),
            ADMIN_ALPN => self.admin == Some(key),
            _ => false,
        }
    }

    fn is_peer(&self, key: NodeId) -> bool {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Names a stranger in the log, where its owner looks for why it gets in nowhere.
    fn name(&self, stranger: NodeId) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = |last: NodeId| if last == stranger { AGAIN } else { NEXT };
        if named.is_none_or(|(last, at)| at.elapsed() >= pause(last)) {
            *named = Some((stranger, Instant::now()));
            tracing::warn!("turned away {stranger}: it is not among this node's peers");
        }
    }
}

/// The server's side: shows `identity`, takes `allowed` keys.
pub fn server(identity: &Identity, allowed: Arc<Allowed>) -> Result<QuicServerConfig, Error> {
    let keys =
        Keys { provider: Arc::new(provider::default_provider()), taken: Taken::Any(allowed) };
    let shown = shown(identity)?;
    let mut config = rustls::ServerConfig::builder_with_provider(keys.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(keys))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(shown)));
    config.alpn_protocols = vec![NODE_ALPN.into(), ADMIN_ALPN.into()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    QuicServerConfig::try_from(config).map_err(|why| Error::General(why.to_string()))
}

/// The client's side: shows `identity`, takes no key but `server`.
pub fn client(identity: &Identity, server: NodeId, alpn: &[u8]) -> Result<QuicClientConfig, Error> {
    let keys = Keys { provider: Arc::new(provider::default_provider()), taken: Taken::One(server) };
    let shown = shown(identity)?;
    let mut config = rustls::ClientConfig::builder_with_provider(keys.provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(keys))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(shown)));
    config.alpn_protocols = vec![alpn.into()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    QuicClientConfig::try_from(config).map_err(|why| Error::General(why.to_string()))
}

/// The key and the protocol of the other side, once the handshake is over.
pub fn other_side(connection: &quinn::Connection) -> Option<(NodeId, Vec<u8>)> {
    let keys = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    let handshake = connection.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Some((node_of(keys.first()?)?, handshake.protocol?))
}

/// The node whose key this is; `None` if it is no Ed25519 key.
fn node_of(spki: &[u8]) -> Option<NodeId> {
    let key = spki.strip_prefix(&ED25519_SPKI)?;
    key.try_into().ok().map(NodeId)
}

fn shown(identity: &Identity) -> Result<Arc<CertifiedKey>, Error> {
    let key = provider::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(identity.pkcs8()))?;
    let spki = [&ED25519_SPKI[..], &identity.id().0].concat();
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key)))
}

/// Checks the other side's key and its signature of the handshake.
#[derive(Debug)]
struct Keys {
    provider: Arc<CryptoProvider>,
    taken: Taken,
}

#[derive(Debug)]
enum Taken {
    One(NodeId),
    Any(Arc<Allowed>),
}

impl Keys {
    fn check(&self, spki: &[u8], more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let Some(key) = node_of(spki).filter(|_| more.is_empty()) else {
            return Err(CertificateError::BadEncoding.into());
        };
        match &self.taken {
            Taken::One(node) if *node == key => Ok(()),
            Taken::One(_) => {
                Err(Error::General(format!("{ANOTHER_NODE}, {key}: correct the id or the address")))
            }
            Taken::Any(allowed) if allowed.is_peer(key) || allowed.admin == Some(key) => Ok(()),
            Taken::Any(allowed) => {
                allowed.name(key);
                // Sent to the other side as the alert `access_denied`.
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
        }
    }

    fn check_signature(
        &self,
        message: &[u8],
        spki: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signed, algorithms)
    }
}

/// TLS 1.2 is not offered, so its signatures cannot come.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.2 is not spoken here".into()))
}

impl ServerCertVerifier for Keys {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Keys {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_what_tls_carries_and_nothing_else_is() {
        let identity = Identity::generate().unwrap();
        let shown = shown(&identity).unwrap();
        assert_eq!(node_of(&shown.cert[0]), Some(identity.id()));
        assert_eq!(node_of(&shown.cert[0][..43]), None);
        assert_eq!(node_of(b""), None);
    }

    #[test]
    fn an_admin_key_fits_the_admin_protocol_only() {
        let (admin, peer, stranger) = (NodeId([1; 32]), NodeId([2; 32]), NodeId([3; 32]));
        let allowed = Allowed::new(Some(admin));
        allowed.insert(peer);
        for (key, node, cli) in
            [(admin, false, true), (peer, true, false), (stranger, false, false)]
        {
            assert_eq!(allowed.fits(key, NODE_ALPN), node);
            assert_eq!(allowed.fits(key, ADMIN_ALPN), cli);
            assert!(!allowed.fits(key, b"h3"));
        }
        allowed.remove(peer);
        assert!(!allowed.fits(peer, NODE_ALPN));
    }
}
