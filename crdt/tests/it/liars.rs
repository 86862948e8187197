//! Single lies, and that they keep no two honest replicas apart. The simulator has them all at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use distchat_crdt::{
    Draft, Key, Keypair, Message, Signer, Timestamp,
    index::Prefix,
    kind,
    sync::{
        Blob, Difference, Fetch, Greeting, Input, List, Page, Refusal, Request, Response, RoomGreeting, Summaries,
        Summary, Tail, Wanted,
    },
};

use crate::world::{START_MS, World, room_id};

const SECOND: Duration = Duration::from_secs(1);

/// A chain of messages of one author, a second apart until some time ago.
pub fn talk(signer: &dyn Signer, count: u64) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for seq in 0..count {
        let time = Timestamp::from_millis(START_MS - 1000 * (count - seq));
        let prev = messages.last().map(Message::key);
        let draft =
            Draft { room: room_id(), seq, time, prev, seen: Vec::new(), kind: kind::TEXT, body: vec![b'x'; 99] };
        messages.push(draft.sign(signer).unwrap());
    }
    messages
}

/// The same message with a signature that does not verify: another one may vouch for it, for the signature is part of
/// what is named.
pub fn unsigned(draft: &Draft, author: &Keypair) -> Message {
    struct Bad<'a>(&'a Keypair);
    impl Signer for Bad<'_> {
        fn author(&self) -> distchat_crdt::AuthorId {
            self.0.author()
        }
        fn sign(&self, _: &[u8]) -> distchat_crdt::Signature {
            distchat_crdt::Signature([7; 64])
        }
    }
    draft.sign(&Bad(author)).unwrap()
}

#[test]
fn a_voucher_from_the_future_keeps_nobody_apart() {
    let mut world = World::new(2);
    let liar = Keypair::from_seed([99; 32]);
    let mut vouched: Vec<Message> = Vec::new();
    for seq in 0..50 {
        let time = Timestamp::from_millis(START_MS - 5000 + seq);
        let prev = vouched.last().map(Message::key);
        let draft =
            Draft { room: room_id(), seq, time, prev, seen: Vec::new(), kind: kind::TEXT, body: vec![b'x'; 99] };
        vouched.push(unsigned(&draft, &liar));
    }
    let year_9000 = Timestamp::from_millis(START_MS + 7000 * 365 * 86_400_000);
    let draft = Draft {
        room: room_id(),
        seq: 50,
        time: year_9000,
        prev: vouched.last().map(Message::key),
        seen: Vec::new(),
        kind: kind::TEXT,
        body: b"from the future".to_vec(),
    };
    // Newest first, as they would be accepted.
    let mut all = vec![draft.sign(&liar).unwrap()];
    all.extend(vouched.into_iter().rev());
    for message in all {
        world.give(0, &[message]);
    }
    assert_eq!(world.lens(), [51, 0]);
    world.connect(0, 1);
    world.run_until_equal(SECOND * 30);
    world.assert_no_offences();
}

/// Two honest hosts, 0 and 1, of which each lacks what the other has, and a liar, 2.
fn two_and_a_liar() -> World {
    let mut world = World::new(3);
    for host in [0, 1] {
        let messages = talk(&world.hosts[host].keys.clone(), 300 + 10 * host as u64);
        world.give(host, &messages);
    }
    world.gossip = false;
    world.liars = vec![2];
    world
}

#[test]
fn who_asks_for_what_others_refer_to_has_not_begun_a_session() {
    let mut world = two_and_a_liar();
    world.connect(0, 1);
    world.run_until_equal_of(&[0, 1], SECOND * 5);
    world.run_for(SECOND);
    // Each is kept asking the other for messages that nobody has.
    let nobodys = Wanted::Key(Key::from_bytes(&[1; 40]));
    for n in 0..100 {
        for (here, there) in [(0, 1), (1, 0)] {
            let items = List::cut(vec![nobodys.clone()]);
            let fetch = Fetch { handle: 100 + here as u32, upper: Timestamp::MAX, nonce: 0, items };
            let ticket = (1 << 40) + 2 * n + here as u64;
            let peer = world.hosts[there].peer.clone();
            world.input(here, Input::Asked { peer, ticket, request: Request::Fetch(fetch) });
            if n == 0 {
                world.say(here, "gossip loses this");
            }
        }
        world.run_for(Duration::from_millis(100));
    }
    assert_eq!(world.lens()[..2], [612; 2]);
}

#[test]
fn who_brings_little_at_a_time_is_relieved() {
    let mut world = two_and_a_liar();
    // One that leads and one that helps.
    let other = world.add_host();
    world.liars.push(other);
    let mut drops = talk(&Keypair::from_seed([97; 32]), 1000).into_iter();
    world.late = SECOND * 14;
    world.twist = Some(Box::new(move |response| match response {
        Response::Page(_) => {
            let messages = Blob::cut(drops.next().unwrap().bytes().to_vec());
            Response::Page(Page { done: 0, messages, cuts: List::default(), lacks: Blob::default() })
        }
        Response::Hello(greeting) => something_else(greeting),
        other => other,
    }));
    for host in [0, 1] {
        world.connect(host, 2);
        world.connect(host, other);
    }
    world.run_for(SECOND * 15);
    world.connect(0, 1);
    world.run_for(SECOND * 60);
    let holds = |host: usize, other: usize| {
        let key = talk(&world.hosts[other].keys, 300 + 10 * other as u64)[0].key();
        world.hosts[host].replica.room().index().contains(&key)
    };
    assert!(holds(0, 1) && holds(1, 0), "{:?} after a minute", world.lens());
}

/// A greeting that says that there is more, and nothing of it.
fn something_else(greeting: Greeting) -> Response {
    let at = |n: u64| Key {
        time: Timestamp::from_millis(START_MS + 70_000 - 1000 * n),
        id: distchat_crdt::MessageId([7; 32]),
    };
    let tail = Some(Tail { messages: Blob::default(), cuts: List::cut((0..20).map(at).collect()) });
    let difference = Difference { count: 5, root: distchat_crdt::Fingerprint([7; 32]), later: 0, tail };
    Response::Hello(Greeting { rooms: List::cut(vec![RoomGreeting::Differs(difference)]), ..greeting })
}

#[test]
fn a_helper_is_not_blamed_for_what_a_liar_made_up() {
    let mut world = two_and_a_liar();
    world.twist = Some(Box::new(|response| match response {
        Response::Page(_) => Response::Refused(Refusal::Busy),
        Response::Hello(greeting) => something_else(greeting),
        other => other,
    }));
    world.connect(0, 1);
    world.run_until_equal_of(&[0, 1], SECOND * 5);
    for n in 0..20 {
        // Each asks the liar first, and the other, who helps with its pieces, has none of them.
        for host in [0, 1] {
            world.cut(host, 2);
            world.connect(host, 2);
        }
        world.run_for(Duration::from_millis(100));
        world.say(1, "gossip loses this");
        world.run_for(SECOND * 5);
        assert_eq!(world.lens()[..2], [611 + n; 2]);
    }
}

#[test]
fn who_is_busy_in_time_pays_all_the_same() {
    let mut world = two_and_a_liar();
    let known = Blob::cut(talk(&world.hosts[0].keys, 300).iter().flat_map(Message::bytes).copied().collect());
    let mut pages = 0;
    world.twist = Some(Box::new(move |response| match response {
        // What is known already, ten times; then it is busy.
        Response::Page(_) => {
            pages += 1;
            if pages % 11 == 0 {
                return Response::Refused(Refusal::Busy);
            }
            Response::Page(Page { done: 0, messages: known.clone(), cuts: List::default(), lacks: Blob::default() })
        }
        Response::Hello(greeting) => something_else(greeting),
        other => other,
    }));
    world.connect(0, 2);
    world.run_for(SECOND * 55);
    let served = world.bytes;
    assert!(served > 1_000_000, "it was tried: {served}");
    assert!(served < 4_000_000, "a minute of a liar cost {served} bytes");
}

#[test]
fn who_is_busy_in_time_is_relieved() {
    let mut world = two_and_a_liar();
    world.late = SECOND * 14;
    world.twist = Some(Box::new(|response| match response {
        Response::Page(_) => Response::Refused(Refusal::Busy),
        Response::Hello(greeting) => something_else(greeting),
        other => other,
    }));
    world.connect(0, 2);
    world.connect(1, 2);
    world.run_for(SECOND * 2);
    world.connect(0, 1);
    world.run_for(SECOND * 16);
    for n in 0..5 {
        assert_eq!(world.lens()[..2], [610 + n; 2]);
        world.say(1, "gossip loses this");
        world.run_for(SECOND * 17);
    }
}

#[test]
fn the_same_over_and_over_is_paid_for_as_an_answer_to_what_others_refer_to() {
    let mut world = two_and_a_liar();
    world.connect(0, 2);
    world.run_for(SECOND);
    let messages = talk(&Keypair::from_seed([95; 32]), 400);
    let said = Arc::new(AtomicUsize::new(0));
    let (answers, counter) = (messages.clone(), said.clone());
    world.twist = Some(Box::new(move |response| match response {
        Response::Page(_) => {
            let asked = answers[2 * counter.load(Ordering::Relaxed)].bytes();
            let messages = Blob::cut(asked.repeat(1_000_000 / asked.len()));
            Response::Page(Page { done: 1, messages, cuts: List::default(), lacks: Blob::default() })
        }
        other => other,
    }));
    let peer = world.hosts[2].peer.clone();
    for n in 0..100 {
        said.store(n, Ordering::Relaxed);
        let bytes = messages[2 * n + 1].bytes().to_vec();
        world.input(0, Input::Frame { peer: peer.clone(), ticket: 0, bytes });
        world.run_for(SECOND / 2);
    }
    let served = world.hosts[2].served;
    assert!((900_000..4_000_000).contains(&served), "a minute of a liar cost {served} bytes");
}

#[test]
fn a_tree_that_tells_a_region_over_and_over_is_a_lie() {
    let mut world = two_and_a_liar();
    let messages = talk(&Keypair::from_seed([98; 32]), 500);
    world.give(2, &messages);
    world.twist = Some(Box::new(|response| match response {
        Response::Nodes(nodes) => {
            let regions = (0..40).map(|depth| (0..depth).fold(Prefix::EMPTY, |region, _| region.child::<4>(0)));
            let summaries = regions.map(|region| Summary::Keys(region, Blob::cut(vec![7; 6]))).collect();
            Response::Nodes(Summaries { done: nodes.done, summaries: List::cut(summaries) })
        }
        other => other,
    }));
    world.connect(0, 2);
    world.run_for(SECOND * 20);
    assert_eq!(world.hosts[0].offences.first(), Some(&"a region told twice"));
}

#[test]
fn one_who_asks_a_lot_leaves_others_their_turn() {
    let mut world = two_and_a_liar();
    let key = world.hosts[0].replica.room().index().select(7).unwrap();
    world.connect(0, 2);
    world.run_for(SECOND);
    world.read_time = SECOND;
    world.connect(0, 1);
    let peer = world.hosts[2].peer.clone();
    for n in 0..100 {
        for more in 0..8 {
            let fetch =
                Fetch { handle: 100, upper: Timestamp::MAX, nonce: 0, items: List::cut(vec![Wanted::Key(key)]) };
            let ticket = (1 << 40) + 8 * n + more;
            world.input(0, Input::Asked { peer: peer.clone(), ticket, request: Request::Fetch(fetch) });
        }
        world.run_for(Duration::from_millis(50));
    }
    assert_eq!(world.hosts[1].refused, 0);
    assert_eq!(world.lens()[..2], [610; 2]);
}
