//! Signatures: Ed25519 (RFC 8032), judged by ZIP 215.
//!
//! ZIP 215 is the rule under which a batch accepts exactly what single checks accept. Under others the two disagree
//! on crafted signatures, and replicas that batch differently would stay apart for ever.

use std::sync::{Mutex, PoisonError};

use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use rand::{SeedableRng, rngs::StdRng};

use crate::{AuthorId, Message, Signature};

/// Signs in one author's name.
pub trait Signer: Send + Sync {
    /// Whose name.
    fn author(&self) -> AuthorId;
    /// The signature over exactly these bytes.
    fn sign(&self, bytes: &[u8]) -> Signature;
}

/// Judges signatures. One rule for all replicas, whether they check one by one or in batches.
pub trait Verifier: Send + Sync {
    /// Whether this is the author's signature over these bytes.
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool;

    /// Whether all of these messages bear their author's signature.
    fn verify_all(&self, messages: &[&Message]) -> bool {
        messages.iter().all(|message| self.verify_one(message))
    }

    /// Whether the message bears its author's signature.
    fn verify_one(&self, message: &Message) -> bool {
        self.verify(&message.author(), &message.signed_bytes(), &message.signature())
    }
}

/// An author's key pair.
#[derive(Clone)]
pub struct Keypair {
    secret: SigningKey,
    author: AuthorId,
}

impl Keypair {
    /// The key pair of a 32-byte seed (RFC 8032's private key).
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let secret = SigningKey::from(seed);
        let author = AuthorId(VerificationKeyBytes::from(&secret).into());
        Self { secret, author }
    }
}

impl Signer for Keypair {
    fn author(&self) -> AuthorId {
        self.author
    }

    fn sign(&self, bytes: &[u8]) -> Signature {
        Signature(self.secret.sign(bytes).into())
    }
}

impl std::fmt::Debug for Keypair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keypair({})", self.author.short())
    }
}

/// The verifier of the protocol.
///
/// Batches are blinded with random numbers, lest somebody crafts signatures whose errors cancel out. They come from the
/// seed, which must not be known to others. Verdicts do not depend on it.
#[derive(Debug)]
pub struct Zip215(Mutex<StdRng>);

impl Zip215 {
    /// A verifier that blinds with that seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(Mutex::new(StdRng::from_seed(seed)))
    }
}

impl Verifier for Zip215 {
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool {
        VerificationKey::try_from(author.0).is_ok_and(|key| key.verify(&signature.0.into(), bytes).is_ok())
    }

    fn verify_all(&self, messages: &[&Message]) -> bool {
        // A batch of one costs more than a check.
        if let [message] = messages {
            return self.verify_one(message);
        }
        let mut batch = batch::Verifier::new();
        for message in messages {
            let key = VerificationKeyBytes::from(message.author().0);
            batch.queue((key, message.signature().0.into(), &message.signed_bytes()));
        }
        // A fork of the generator, so that the lock is not held while curves are computed.
        let rng = self.0.lock().unwrap_or_else(PoisonError::into_inner).fork();
        batch.verify(rng).is_ok()
    }
}
