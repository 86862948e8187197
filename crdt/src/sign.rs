//! Signatures: Ed25519 (RFC 8032), judged by ZIP 215.
//!
//! ZIP 215 is the rule under which a batch accepts exactly what single checks accept. Under others the two disagree
//! on crafted signatures, and replicas that batch differently would stay apart for ever.

use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};

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
#[derive(Clone, Copy, Debug, Default)]
pub struct Zip215;

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
        batch.verify(rand::rng()).is_ok()
    }
}
