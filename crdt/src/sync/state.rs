//! How a replica stands with its peers, for people to see.

use serde::{Deserialize, Serialize};

use super::Replica;

/// How a replica stands with its peers.
///
/// ```
/// use distchat_crdt::sync::SyncState;
///
/// let shown = |state| match state {
///     SyncState::Alone => "nobody else is here".into(),
///     SyncState::Comparing => "comparing".into(),
///     SyncState::CatchingUp { held, of } => format!("{held} of {of}"),
///     SyncState::InSync => "in sync".into(),
/// };
/// assert_eq!(shown(SyncState::CatchingUp { held: 50, of: 200 }), "50 of 200");
/// assert_eq!(shown(SyncState::InSync), "in sync");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// No peer is in the room.
    Alone,
    /// Peers are there, and none was found to hold the same yet.
    Comparing,
    /// Messages are on their way from peers.
    CatchingUp {
        /// How many messages are held.
        held: u64,
        /// How many there will be, as far as peers have told. Never less than `held`.
        of: u64,
    },
    /// A peer that is there was found to hold the same, and nothing is known to differ from what the others hold.
    InSync,
}

impl Replica {
    /// How this replica stands with its peers. What a peer tells of how much it holds is believed here, and nowhere else.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// assert_eq!(replica.sync_state(), SyncState::Alone);
    /// # use distchat_crdt::{Key, Timestamp};
    /// # let (bob, id) = (Keypair::from_seed([2; 32]), RoomId([7; 32]));
    /// # let (peer, me) = (Peer::new(b"bob"), Peer::new(b"ana"));
    /// # let (proof, signature) = (proof(&id, &peer, &me), sign_peer(&bob, &peer));
    /// # let enter = Request::Enter(Enter { topic: id.topic(), handle: 2, proof, author: bob.author(), signature });
    /// # replica.handle(now, Input::Asked { peer, ticket: 1, request: enter });
    /// // Bob's node has entered the room.
    /// assert_eq!(replica.sync_state(), SyncState::Comparing);
    /// ```
    pub fn sync_state(&self) -> SyncState {
        let mut entered = self.peers.values().filter(|state| state.entered.is_some()).peekable();
        if entered.peek().is_none() {
            return SyncState::Alone;
        }
        let (mut agreed, mut of) = (false, self.room.index().len());
        let held = of;
        for state in entered {
            agreed |= state.agreed.is_some();
            of = of.max(state.count);
        }
        match &self.asking.transfer {
            Some(_) => SyncState::CatchingUp { held, of },
            None if agreed => SyncState::InSync,
            None => SyncState::Comparing,
        }
    }
}
