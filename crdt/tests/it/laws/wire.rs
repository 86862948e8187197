//! Frames survive the wire, and no bytes are more than an error.

use std::collections::BTreeMap;

use distchat_crdt::{
    AuthorId, Fingerprint, Key, MessageId, Signature, Timestamp, Topic,
    index::Prefix,
    sync::{
        Blob, Branch, Difference, Enter, Entered, Fetch, Filter, Greeting, Have, Hello, List, MAX_HAVE_KEYS,
        MAX_HELLO_ROOMS, MAX_PAGE, Nodes, Offer, Page, Proof, Range, Refusal, Region, Request, Response, RoomGreeting,
        RoomHello, Summaries, Summary, Tail, Wanted,
    },
};
use proptest::{prelude::*, test_runner::TestCaseResult};
use serde::{Serialize, de::DeserializeOwned};

use super::cases;

fn key() -> impl Strategy<Value = Key> {
    any::<(u64, [u8; 32])>().prop_map(|(time, id)| Key { time: Timestamp(time), id: MessageId(id) })
}

fn keys<const MAX: usize>() -> impl Strategy<Value = List<Key, MAX>> {
    prop::collection::vec(key(), 0..6).prop_map(List::cut)
}

fn prefix() -> impl Strategy<Value = Prefix> {
    (key(), 0..=80_usize).prop_map(|(key, digits)| Prefix::of::<4>(&key, digits))
}

fn blob<const MAX: usize>() -> impl Strategy<Value = Blob<MAX>> {
    prop::collection::vec(any::<u8>(), 0..300).prop_map(Blob::cut)
}

fn signature() -> impl Strategy<Value = Signature> {
    any::<[[u8; 32]; 2]>().prop_map(|halves| Signature(std::array::from_fn(|at| halves[at / 32][at % 32])))
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop::sample::select(vec![Refusal::Unknown, Refusal::Denied, Refusal::Busy, Refusal::Malformed])
}

fn branch() -> impl Strategy<Value = Branch> {
    (prefix(), any::<u16>(), blob()).prop_map(|(prefix, children, hashes)| Branch { prefix, children, hashes })
}

fn filter() -> impl Strategy<Value = Filter> {
    prop_oneof![blob().prop_map(Filter::Except), blob().prop_map(Filter::Only)]
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let (from, below) = (prop::option::of(key()), prop::option::of(key()));
    let range = (prefix(), from, below, filter());
    let range = range.prop_map(|(region, from, below, filter)| Range { region, from, below, filter });
    prop_oneof![key().prop_map(Wanted::Key), range.prop_map(Wanted::Range)]
}

fn request() -> impl Strategy<Value = Request> {
    let enter = (any::<[[u8; 32]; 3]>(), any::<u32>(), signature()).prop_map(|(bytes, handle, signature)| {
        let [topic, proof, author] = bytes;
        Request::Enter(Enter { topic: Topic(topic), handle, proof: Proof(proof), author: AuthorId(author), signature })
    });
    let room = any::<(u32, u64, u64, [u8; 32])>().prop_map(|(handle, upper, count, root)| RoomHello {
        handle,
        upper: Timestamp(upper),
        count,
        root: Fingerprint(root),
    });
    let hello = (any::<u64>(), prop::collection::vec(room, 0..=MAX_HELLO_ROOMS))
        .prop_map(|(clock, rooms)| Request::Hello(Hello { clock, rooms: List::cut(rooms) }));
    let region = (prefix(), branch()).prop_map(|(region, branch)| Region { region, branch });
    let nodes = (any::<(u32, u64, u64)>(), prop::collection::vec(region, 0..5)).prop_map(|(head, items)| {
        let (handle, upper, nonce) = head;
        Request::Nodes(Nodes { handle, upper: Timestamp(upper), nonce, items: List::cut(items) })
    });
    let fetch = (any::<(u32, u64, u64)>(), prop::collection::vec(wanted(), 0..5)).prop_map(|(head, items)| {
        let (handle, upper, nonce) = head;
        Request::Fetch(Fetch { handle, upper: Timestamp(upper), nonce, items: List::cut(items) })
    });
    let offer = (any::<u32>(), blob()).prop_map(|(handle, messages)| Request::Offer(Offer { handle, messages }));
    let have = (any::<u32>(), keys()).prop_map(|(handle, keys)| Request::Have(Have { handle, keys }));
    prop_oneof![enter, hello, nodes, fetch, offer, have]
}

fn response() -> impl Strategy<Value = Response> {
    let entered = (any::<u32>(), any::<[[u8; 32]; 2]>(), signature()).prop_map(|(handle, bytes, signature)| {
        let [proof, author] = bytes;
        Response::Entered(Entered { handle, proof: Proof(proof), author: AuthorId(author), signature })
    });
    let tail = prop::option::of((blob(), keys()).prop_map(|(messages, cuts)| Tail { messages, cuts }));
    let differs = (any::<(u64, [u8; 32], u64)>(), tail).prop_map(|((count, root, later), tail)| {
        RoomGreeting::Differs(Difference { count, root: Fingerprint(root), later, tail })
    });
    let room =
        prop_oneof![any::<u64>().prop_map(RoomGreeting::Equal), differs, refusal().prop_map(RoomGreeting::Refused)];
    let greeting = (any::<u64>(), prop::collection::vec(room, 0..4))
        .prop_map(|(clock, rooms)| Response::Hello(Greeting { clock, rooms: List::cut(rooms) }));
    let summary = prop_oneof![
        (prefix(), blob()).prop_map(|(region, shorts)| Summary::Keys(region, shorts)),
        (prefix(), branch()).prop_map(|(region, branch)| Summary::Branch(region, branch)),
    ];
    let summaries = (any::<u32>(), prop::collection::vec(summary, 0..6))
        .prop_map(|(done, summaries)| Response::Nodes(Summaries { done, summaries: List::cut(summaries) }));
    let page = (any::<u32>(), blob(), keys(), blob())
        .prop_map(|(done, messages, cuts, lacks)| Response::Page(Page { done, messages, cuts, lacks }));
    prop_oneof![
        entered,
        greeting,
        summaries,
        page,
        any::<u32>().prop_map(Response::Offered),
        blob().prop_map(Response::Have),
        refusal().prop_map(Response::Refused),
    ]
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(frame: &T) -> TestCaseResult {
    let mut bytes = Vec::new();
    ciborium::into_writer(frame, &mut bytes).unwrap();
    prop_assert_eq!(&ciborium::from_reader::<T, _>(&bytes[..]).unwrap(), frame);
    for end in 0..bytes.len() {
        prop_assert!(ciborium::from_reader::<T, _>(&bytes[..end]).is_err(), "cut at {}", end);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn every_request_survives_the_wire_and_no_part_of_it_does(request in request()) {
        survives(&request)?;
    }

    #[test]
    fn every_response_survives_the_wire_and_no_part_of_it_does(response in response()) {
        survives(&response)?;
    }

    #[test]
    fn no_change_of_a_frame_is_more_than_an_error(request in request(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = Vec::new();
        ciborium::into_writer(&request, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        ciborium::from_reader::<Request, _>(&bytes[..]).ok();
        ciborium::from_reader::<Response, _>(&bytes[..]).ok();
    }

    #[test]
    fn no_bytes_are_more_than_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        ciborium::from_reader::<Request, _>(&bytes[..]).ok();
        ciborium::from_reader::<Response, _>(&bytes[..]).ok();
    }
}

/// The bytes of a frame that announces something huge and then ends.
fn announce(variant: &str, fields: &[u8], huge: &[u8]) -> Vec<u8> {
    let name = [&[0xa1, 0x60 + variant.len() as u8], variant.as_bytes()].concat();
    [&name[..], fields, huge].concat()
}

#[test]
fn what_is_announced_and_not_there_is_an_error_at_once() {
    // 2^40 items or bytes: if anybody believed it, the allocation would fail the test.
    for huge in [[0x9b, 0, 0, 1, 0, 0, 0, 0, 0], [0x5b, 0, 0, 1, 0, 0, 0, 0, 0]] {
        for (variant, fields) in [("have", &[0x82, 0x01][..]), ("offer", &[0x82, 0x01]), ("hello", &[0x82, 0x01])] {
            let bytes = announce(variant, fields, &huge);
            assert!(ciborium::from_reader::<Request, _>(&bytes[..]).is_err(), "{variant}");
        }
    }
}

#[test]
fn lists_and_byte_strings_keep_their_limits() {
    let have = |keys: usize| Loose { name: "have", fields: (1, vec![Key::MIN; keys]) };
    assert!(have(MAX_HAVE_KEYS).is_taken());
    assert!(!have(MAX_HAVE_KEYS + 1).is_taken());
    let offer = |bytes: usize| Loose { name: "offer", fields: (1, Bytes(vec![0; bytes])) };
    assert!(offer(MAX_PAGE).is_taken());
    assert!(!offer(MAX_PAGE + 1).is_taken());
}

/// A frame with fields that know no limits.
struct Loose<T> {
    name: &'static str,
    fields: T,
}

struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(&self.0)
    }
}

impl<T: Serialize> Loose<T> {
    /// Whether a reader takes it.
    fn is_taken(&self) -> bool {
        let mut bytes = Vec::new();
        ciborium::into_writer(&BTreeMap::from([(self.name, &self.fields)]), &mut bytes).unwrap();
        ciborium::from_reader::<Request, _>(&bytes[..]).is_ok()
    }
}
