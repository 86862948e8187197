//! Which frames of gossip are passed on.

use std::sync::Arc;

use distchat_crdt::{
    Keypair, Message, Room, Signer, Zip215,
    clock::Now,
    sync::{Input, Output, Peer, Replica, ReplicaConfig, Verdict},
};

use crate::{
    liars::talk,
    world::{START_MS, room_id},
};

struct Relay(Replica, Now);

impl Relay {
    fn new() -> Self {
        let keys = Keypair::from_seed([1; 32]);
        let room = Room::new(room_id(), keys.author(), Arc::new(Zip215::new([9; 32])));
        let (me, signer) = (Peer::new(b"relay"), Arc::new(keys));
        let config = ReplicaConfig { me, handle: 1, signer, seed: [3; 32], said: Vec::new() };
        let now = Now { wall_ms: START_MS, ..Now::default() };
        Self(Replica::new(room, config, now), now)
    }

    /// The verdict on a frame of these messages, and how many bytes of it are told to be new.
    fn look_at(&mut self, messages: &[Message]) -> (Verdict, usize) {
        let bytes = messages.iter().flat_map(Message::bytes).copied().collect();
        let outputs = self.0.handle(self.1, Input::Frame { peer: Peer::new(b"other"), ticket: 1, bytes });
        let verdict = |output| if let Output::Verdict { verdict, .. } = output { Some(verdict) } else { None };
        (outputs.into_iter().find_map(verdict).unwrap(), self.0.new_in_frame())
    }

    fn judge(&mut self, messages: &[Message]) -> Verdict {
        self.look_at(messages).0
    }

    fn held(&self) -> u64 {
        self.0.room().index().len()
    }
}

#[test]
fn what_is_mostly_old_is_taken_and_not_passed_on() {
    let mut relay = Relay::new();
    let messages = talk(&Keypair::from_seed([2; 32]), 100);
    assert_eq!(relay.judge(&messages[..50]), Verdict::Accept);
    assert_eq!(relay.judge(&messages[..50]), Verdict::Ignore, "nothing of it is new");
    let new = messages[50].bytes().len();
    assert_eq!(relay.look_at(&messages[..51]), (Verdict::Ignore, new), "one new message and fifty old ones");
    assert_eq!(relay.held(), 51, "it is taken in all the same");
    assert_eq!(relay.judge(&messages[32..70]), Verdict::Accept, "half of it is new, as when sync was a little faster");
    assert_eq!(relay.held(), 70);
}

#[test]
fn what_is_of_several_authors_is_left() {
    let mut relay = Relay::new();
    let [one, other] = [2, 3].map(|seed| talk(&Keypair::from_seed([seed; 32]), 10));
    assert_eq!(relay.judge(&[one.clone(), other.clone()].concat()), Verdict::Ignore);
    assert_eq!(relay.held(), 0, "who has said how much is counted for the author of a frame");
    let [one, other] = [4, 5].map(|seed| talk(&Keypair::from_seed([seed; 32]), 10));
    assert_eq!(relay.judge(&one), Verdict::Accept);
    assert_eq!(relay.judge(&other), Verdict::Accept);
}
