//! How a replica stands with its peers, for people to see.

use serde::{Deserialize, Serialize};

use super::{Replica, asking::PeerState};
use crate::clock::Clocks;

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

    /// Whether nothing is left to be done until something happens: every commit is on disk, nothing is asked, read or waited
    /// for, and every peer that is in the room was found to hold the same. A replica of which that is so can be dropped and
    /// made anew later, and nobody misses anything: whoever comes to hold something else will say hello.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, kind, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// # let mut replica = Replica::new(room, config, now);
    /// assert!(replica.is_settled());
    /// let outputs = replica.handle(now, Input::Say { ticket: 1, said: vec![(kind::TEXT, b"hello".to_vec())] });
    /// let [Output::Commit { number, .. }] = outputs[..] else { unreachable!() };
    /// assert!(!replica.is_settled(), "it is not on disk yet");
    /// replica.handle(now, Input::Committed { through: number });
    /// assert!(replica.is_settled());
    /// replica.handle(now, Input::PeerUp(Peer::new(b"bob")));
    /// assert!(!replica.is_settled(), "bob is asked whether he is in the room");
    /// ```
    pub fn is_settled(&self) -> bool {
        let root = self.room.fingerprint();
        let settled = |state: &PeerState| {
            let agrees = state.entered.is_none() || state.agreed == Some(root);
            agrees && state.session.is_none() && state.meets_at().is_none()
        };
        self.last_commit() == 0
            && self.reading.is_empty()
            && self.asking.is_idle()
            && self.receipts_deadline().is_none()
            && self.peers.values().all(|state| settled(state))
    }

    /// What the peers' clocks said, for the replica that is made of the room later: see [`Replica::remember_clocks`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::Now, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// let replica = Replica::new(room, config, now);
    /// assert_eq!(replica.clocks().read(now), replica.clock(now));
    /// ```
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Takes over what peers' clocks said to a replica that ran here before. Whoever has gone since is to be left out
    /// ([`Clocks::keep`]).
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use distchat_crdt::{Keypair, Room, RoomId, Signer, Zip215, clock::{Clocks, Now}, sync::*};
    /// # let (keys, me, now) = (Keypair::from_seed([1; 32]), Peer::new(b"ana"), Now::default());
    /// # let room = Room::new(RoomId([7; 32]), keys.author(), Arc::new(Zip215::new([9; 32])));
    /// # let config = ReplicaConfig { me, handle: 1, signer: Arc::new(keys), seed: [3; 32], said: Vec::new() };
    /// let mut replica = Replica::new(room, config, now);
    /// let mut clocks = Clocks::default();
    /// clocks.heard(now, &Peer::new(b"bob"), now.wall_ms + 1500);
    /// replica.remember_clocks(clocks);
    /// assert_eq!(replica.clock_offset_ms(now, &Peer::new(b"bob")), Some(1500));
    /// ```
    pub fn remember_clocks(&mut self, clocks: Clocks) {
        self.clocks = clocks;
    }
}
