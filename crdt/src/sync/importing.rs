//! Messages that no peer sent: somebody has carried them here in a file.
//!
//! They are merged like any others and go to the store, to people and to peers like any others; there is only nobody to
//! hold it against if they are of no use, and nobody to ask for what they refer to: that is left to the rounds.

use std::ops::AddAssign;

use super::{
    Output, Replica, Ticket,
    replica::{Merged, Origin},
};
use crate::Message;

/// What became of messages that were imported. The numbers add up to how many there were.
///
/// ```
/// # use std::sync::Arc;
/// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
/// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
/// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
/// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
/// # let mut replica = Replica::new(room, config, now);
/// let message = replica.room().sign(&Keypair::from_seed([2; 32]), &replica.clock(now), kind::TEXT, b"hello".to_vec())?;
/// let messages = vec![message.bytes().to_vec(), b"no message".to_vec(), message.bytes().to_vec()];
/// let outputs = replica.handle(now, Input::Import { ticket: 1, messages });
/// let Some(Output::Imported { imported, .. }) = outputs.first() else { unreachable!() };
/// assert_eq!(*imported, Imported { new: 1, known: 1, malformed: 1, ..Imported::default() });
/// # Ok::<(), distchat_crdt::DecodeError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Imported {
    /// Valid, and not here before.
    pub new: u64,
    /// Here already, or twice among those imported together.
    pub known: u64,
    /// Neither is the signature good, nor does any message that is here vouch for it. Either somebody has changed it, or
    /// what vouches for it has not come yet: then it is valid when it comes again behind that. It is not kept.
    pub unvouched: u64,
    /// Of another room.
    pub foreign: u64,
    /// No message at all.
    pub malformed: u64,
}

impl Imported {
    /// How many there were.
    ///
    /// ```
    /// use distchat_crdt::sync::Imported;
    ///
    /// // Of a file that is imported a page at a time.
    /// let mut all = Imported::default();
    /// for page in [Imported { new: 100, ..Imported::default() }, Imported { new: 3, known: 97, ..Imported::default() }] {
    ///     all += page;
    /// }
    /// assert_eq!((all.total(), all.new), (200, 103));
    /// ```
    pub fn total(&self) -> u64 {
        self.new + self.known + self.unvouched + self.foreign + self.malformed
    }
}

impl AddAssign for Imported {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.known += other.known;
        self.unvouched += other.unvouched;
        self.foreign += other.foreign;
        self.malformed += other.malformed;
    }
}

impl Replica {
    pub(super) fn import(&mut self, ticket: Ticket, bytes: &[Vec<u8>]) {
        let messages: Vec<Message> = Message::decode_each(bytes).into_iter().flatten().collect();
        let malformed = bytes.len() - messages.len();
        let before = self.out.len();
        let Merged { gain, duplicates, unauthentic, foreign } = self.merge_any(messages, Origin::Import);
        let imported = Imported {
            new: gain.messages as u64,
            known: duplicates as u64,
            unvouched: unauthentic as u64,
            foreign: foreign as u64,
            malformed: malformed as u64,
        };
        // In front of the commit: whoever writes that knows whom to tell.
        self.out.insert(before, Output::Imported { ticket, imported, commit: self.last_commit() });
    }
}
