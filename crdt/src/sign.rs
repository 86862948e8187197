//! Signatures: Ed25519 (RFC 8032), judged by ZIP 215.
//!
//! ZIP 215 is the rule under which a batch accepts exactly what single checks accept. Under others the two disagree
//! on crafted signatures, and replicas that batch differently would stay apart for ever.

use std::sync::{Mutex, PoisonError};

use ed25519_zebra::{SigningKey, VerificationKey, VerificationKeyBytes, batch};
use rand::{SeedableRng, rngs::StdRng};

use crate::{AuthorId, Message, Signature};

/// Signs in one author's name.
///
/// ```
/// use distchat_crdt::{AuthorId, Keypair, Signature, Signer};
///
/// /// A key that is kept somewhere else: what signs need not have it.
/// struct Agent(Keypair);
///
/// impl Signer for Agent {
///     fn author(&self) -> AuthorId {
///         self.0.author()
///     }
///     fn sign(&self, bytes: &[u8]) -> Signature {
///         // Asks the agent, which may ask its user.
///         self.0.sign(bytes)
///     }
/// }
/// assert_eq!(Agent(Keypair::from_seed([1; 32])).author(), Keypair::from_seed([1; 32]).author());
/// ```
pub trait Signer: Send + Sync {
    /// Whose name.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Signer};
    ///
    /// let (ana, bob) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
    /// assert_ne!(ana.author(), bob.author());
    /// ```
    fn author(&self) -> AuthorId;
    /// The signature over exactly these bytes.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Signer};
    ///
    /// let ana = Keypair::from_seed([1; 32]);
    /// assert_ne!(ana.sign(b"hello"), ana.sign(b"good morning"));
    /// ```
    fn sign(&self, bytes: &[u8]) -> Signature;
}

/// Judges signatures. One rule for all replicas, whether they check one by one or in batches.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, clock::{Clocks, Now}, kind};
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use distchat_crdt::{AuthorId, Signature, Verifier, Zip215};
///
/// /// Judges as the protocol says, and counts the checks.
/// struct Counting(Zip215, AtomicUsize);
///
/// impl Verifier for Counting {
///     fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.verify(author, bytes, signature)
///     }
/// }
///
/// # let (ana, id, clock) = (Keypair::from_seed([1; 32]), RoomId([7; 32]), Clocks::default().read(Now::default()));
/// # let mut room = Room::new(id, ana.author(), Arc::new(Zip215::new([9; 32])));
/// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"hello".to_vec()); 100]);
/// said?;
/// let counting = Arc::new(Counting(Zip215::new([9; 32]), AtomicUsize::new(0)));
/// let mut other = Room::new(room.id(), ana.author(), counting.clone());
/// other.merge(commit.messages);
/// assert_eq!(other.fingerprint(), room.fingerprint());
/// assert_eq!(counting.1.load(Ordering::Relaxed), 1, "the last of a run vouches for all before it");
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
pub trait Verifier: Send + Sync {
    /// Whether this is the author's signature over these bytes.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Signer, Verifier, Zip215};
    ///
    /// let (ana, verifier) = (Keypair::from_seed([1; 32]), Zip215::new([9; 32]));
    /// let signature = ana.sign(b"hello");
    /// assert!(verifier.verify(&ana.author(), b"hello", &signature));
    /// assert!(!verifier.verify(&ana.author(), b"goodbye", &signature));
    /// ```
    fn verify(&self, author: &AuthorId, bytes: &[u8], signature: &Signature) -> bool;

    /// Whether all of these messages bear their author's signature.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # use distchat_crdt::{Message, Verifier};
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// let mut bytes = message.bytes().to_vec();
    /// *bytes.last_mut().ok_or("no bytes")? ^= 1;
    /// let tampered = Message::decode(&bytes)?;
    /// assert!(room.verifier().verify_all(&[&message]));
    /// assert!(!room.verifier().verify_all(&[&message, &tampered]), "one of them does not");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn verify_all(&self, messages: &[&Message]) -> bool {
        messages.iter().all(|message| self.verify_one(message))
    }

    /// Whether the message bears its author's signature.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
    /// # let ana = Keypair::from_seed([1; 32]);
    /// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
    /// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
    /// # use distchat_crdt::Verifier;
    /// let message = room.sign(&ana, &clock, kind::TEXT, b"hello".to_vec())?;
    /// assert!(Zip215::new([3; 32]).verify_one(&message), "the verifier's seed does not matter");
    /// # Ok::<(), distchat_crdt::DecodeError>(())
    /// ```
    fn verify_one(&self, message: &Message) -> bool {
        self.verify(&message.author(), &message.signed_bytes(), &message.signature())
    }
}

/// An author's key pair.
///
/// ```
/// use distchat_crdt::{Keypair, Signer};
///
/// let ana = Keypair::from_seed([1; 32]);
/// assert_eq!(ana.author(), ana.clone().author());
/// assert_eq!(format!("{ana:?}"), format!("Keypair({})", ana.author().short()), "the secret is not shown");
/// ```
#[derive(Clone)]
pub struct Keypair {
    secret: SigningKey,
    author: AuthorId,
}

impl Keypair {
    /// The key pair of a 32-byte seed (RFC 8032's private key).
    ///
    /// ```
    /// use distchat_crdt::{AuthorId, Keypair, Signer};
    ///
    /// // The first test vector of RFC 8032, section 7.1.
    /// let seed = AuthorId::from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").map(|seed| seed.0);
    /// let author = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    /// assert_eq!(seed.map(|seed| Keypair::from_seed(seed).author()), AuthorId::from_hex(author));
    /// ```
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
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, kind};
/// # let ana = Keypair::from_seed([1; 32]);
/// # let mut room = Room::new(RoomId([7; 32]), ana.author(), Arc::new(Zip215::new([9; 32])));
/// # let clock = Clocks::default().read(Now { wall_ms: 5000, ..Now::default() });
/// use distchat_crdt::Verifier;
///
/// let (commit, said) = room.say(&ana, &clock, vec![(kind::TEXT, b"one".to_vec()), (kind::TEXT, b"two".to_vec())]);
/// said?;
/// // Together they cost less than one by one, and the verdict is the same.
/// let verifier = Zip215::new([9; 32]);
/// assert!(verifier.verify_all(&commit.messages.iter().collect::<Vec<_>>()));
/// assert!(commit.messages.iter().all(|message| verifier.verify_one(message)));
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Zip215(Mutex<StdRng>);

impl Zip215 {
    /// A verifier that blinds with that seed.
    ///
    /// ```
    /// use distchat_crdt::{Keypair, Signer, Verifier, Zip215};
    ///
    /// // In earnest the seed is random.
    /// let verifier = Zip215::new([9; 32]);
    /// let ana = Keypair::from_seed([1; 32]);
    /// assert!(verifier.verify(&ana.author(), b"hello", &ana.sign(b"hello")));
    /// ```
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
