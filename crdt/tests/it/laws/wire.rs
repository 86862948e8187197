//! Frames survive the wire, and no bytes are more than an error.

use ciborium::Value;
use distchat_crdt::{
    AuthorId, Fingerprint, Key, MessageId, Signature, Timestamp, Topic,
    index::Prefix,
    sync::{
        Blob, Branch, Difference, Enter, Entered, Fetch, Filter, Greeting, Have, Hello, List, MAX_CUTS,
        MAX_FETCH_ITEMS, MAX_FRAME, MAX_HAVE_KEYS, MAX_HELLO_ROOMS, MAX_NODE_ITEMS, MAX_PAGE, MAX_SHORTS,
        MAX_SUMMARIES, Nodes, Offer, Page, Proof, Range, Refusal, Region, Request, Response, RoomGreeting, RoomHello,
        SHORT_LEN, Summaries, Summary, Tail, Wanted,
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

fn encode<T: Serialize>(frame: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(frame, &mut bytes).unwrap();
    bytes
}

/// Reads bytes that hold one frame and nothing else.
fn read<T: DeserializeOwned>(mut bytes: &[u8]) -> Option<T> {
    let frame = ciborium::from_reader(&mut bytes).ok()?;
    bytes.is_empty().then_some(frame)
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(frame: &T) -> TestCaseResult {
    let bytes = encode(frame);
    prop_assert_eq!(&read::<T>(&bytes).unwrap(), frame);
    for end in 0..bytes.len() {
        prop_assert!(read::<T>(&bytes[..end]).is_none(), "cut at {}", end);
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
    fn no_change_of_a_frame_is_more_than_an_error(
        request in request(),
        response in response(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        for mut bytes in [encode(&request), encode(&response)] {
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
                read_anything(&bytes)?;
            }
        }
    }

    #[test]
    fn no_bytes_are_more_than_an_error(
        front in prop::sample::select(vec!["", "enter", "hello", "nodes", "fetch", "offer", "have", "page"]),
        bytes in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        read_anything(&bytes)?;
        // As far into a frame as its name, lest most of them fail at the first byte.
        read_anything(&[&[0xa1, 0x60 + front.len() as u8], front.as_bytes(), &bytes].concat())?;
    }
}

/// Reads bytes as either frame. If they are one, it survives the wire from then on.
fn read_anything(bytes: &[u8]) -> TestCaseResult {
    if let Some(request) = read::<Request>(bytes) {
        prop_assert_eq!(read::<Request>(&encode(&request)).unwrap(), request);
    }
    if let Some(response) = read::<Response>(bytes) {
        prop_assert_eq!(read::<Response>(&encode(&response)).unwrap(), response);
    }
    Ok(())
}

/// Frames in which every list and byte string has at least one item.
fn samples() -> (Vec<Request>, Vec<Response>) {
    let key = Key { time: Timestamp(1 << 40), id: MessageId([7; 32]) };
    let prefix = Prefix::of::<4>(&key, 21);
    let branch = Branch { prefix, children: 3, hashes: Blob::cut(vec![1; 16]) };
    let range = |filter| Wanted::Range(Range { region: prefix, from: Some(key), below: Some(key), filter });
    let wanted = vec![
        range(Filter::Except(Blob::cut(vec![2; 8]))),
        range(Filter::Only(Blob::cut(vec![3; 8]))),
        Wanted::Key(key),
    ];
    let keys = vec![key, key];
    let (upper, root) = (Timestamp(1 << 50), Fingerprint([8; 32]));
    let tail = Tail { messages: Blob::cut(vec![4; 20]), cuts: List::cut(keys.clone()) };
    let difference = Difference { count: 300, root, later: 70_000, tail: Some(tail) };
    let (proof, author, signature) = (Proof([9; 32]), AuthorId([10; 32]), Signature([11; 64]));
    let requests = vec![
        Request::Enter(Enter { topic: Topic([12; 32]), handle: 1, proof, author, signature }),
        Request::Hello(Hello { clock: 1, rooms: List::cut(vec![RoomHello { handle: 1, upper, count: 2, root }]) }),
        Request::Nodes(Nodes {
            handle: 1,
            upper,
            nonce: u64::MAX,
            items: List::cut(vec![Region { region: prefix, branch: branch.clone() }]),
        }),
        Request::Fetch(Fetch { handle: 1, upper, nonce: u64::MAX, items: List::cut(wanted) }),
        Request::Offer(Offer { handle: 1, messages: Blob::cut(vec![5; 20]) }),
        Request::Have(Have { handle: 1, keys: List::cut(keys.clone()) }),
    ];
    let summaries = vec![Summary::Keys(prefix, Blob::cut(vec![6; 16])), Summary::Branch(prefix, branch)];
    let responses = vec![
        Response::Entered(Entered { handle: 1, proof, author, signature }),
        Response::Hello(Greeting { clock: 1, rooms: List::cut(vec![RoomGreeting::Differs(difference)]) }),
        Response::Nodes(Summaries { done: 1, summaries: List::cut(summaries) }),
        Response::Page(Page {
            done: 1,
            messages: Blob::cut(vec![5; 20]),
            cuts: List::cut(keys),
            lacks: Blob::cut(vec![1; 2]),
        }),
        Response::Offered(70_000),
        Response::Have(Blob::cut(vec![3; 2])),
        Response::Refused(Refusal::Busy),
    ];
    (requests, responses)
}

/// If anybody believed the longest of these, the allocation would end the test.
#[test]
fn what_is_announced_and_not_there_is_an_error_at_once() {
    let (requests, responses) = samples();
    for frame in requests.iter().map(encode).chain(responses.iter().map(encode)) {
        for at in 0..frame.len().saturating_sub(9) {
            for major in 2..=5_u8 {
                for length in [1 << 16, 1 << 32, 1 << 47, 1 << 62, u64::MAX] {
                    let huge = [&frame[..at], &[major << 5 | 27], &u64::to_be_bytes(length)].concat();
                    assert!(read::<Request>(&huge).is_none(), "{huge:x?}");
                    assert!(read::<Response>(&huge).is_none(), "{huge:x?}");
                }
            }
        }
    }
}

/// The list or byte string at a place, given by positions from the outside in. A map of one entry, which is what an
/// enum is on the wire, counts as its content.
fn place<'a>(frame: &'a mut Value, path: &[usize]) -> &'a mut Value {
    match (frame, path) {
        (Value::Map(entries), path) => place(&mut entries[0].1, path),
        (Value::Array(items), [first, rest @ ..]) => place(&mut items[*first], rest),
        (value, _) => value,
    }
}

/// Whether a frame is read when what stands at the place has so many items or bytes.
fn is_read<T: Serialize + DeserializeOwned>(frame: &T, path: &[usize], count: usize) -> bool {
    let mut value = Value::serialized(frame).unwrap();
    match place(&mut value, path) {
        Value::Array(items) => items.resize(count, items[0].clone()),
        Value::Bytes(bytes) => bytes.resize(count, 0),
        other => unreachable!("{other:?} has no length"),
    }
    read::<T>(&encode(&value)).is_some()
}

#[track_caller]
fn check_limit<T: Serialize + DeserializeOwned>(frame: &T, path: &[usize], limit: usize) {
    assert!(is_read(frame, path, limit), "at the limit");
    assert!(!is_read(frame, path, limit + 1), "beyond the limit");
}

#[test]
fn every_list_and_byte_string_has_its_limit() {
    let (requests, responses) = samples();
    let [_, hello, nodes, fetch, offer, have] = &requests[..] else { unreachable!() };
    check_limit(hello, &[1], MAX_HELLO_ROOMS);
    check_limit(nodes, &[3], MAX_NODE_ITEMS);
    check_limit(nodes, &[3, 0, 1, 2], 16 * SHORT_LEN);
    check_limit(fetch, &[3], MAX_FETCH_ITEMS);
    check_limit(fetch, &[3, 0, 3], MAX_SHORTS);
    check_limit(fetch, &[3, 1, 3], MAX_SHORTS);
    check_limit(offer, &[1], MAX_PAGE);
    check_limit(have, &[1], MAX_HAVE_KEYS);
    let [_, greeting, summaries, page, _, held, _] = &responses[..] else { unreachable!() };
    check_limit(greeting, &[1], MAX_HELLO_ROOMS);
    check_limit(greeting, &[1, 0, 3, 0], MAX_PAGE);
    check_limit(greeting, &[1, 0, 3, 1], MAX_CUTS);
    check_limit(summaries, &[1], MAX_SUMMARIES);
    check_limit(summaries, &[1, 0, 1], MAX_SHORTS);
    check_limit(summaries, &[1, 1, 1, 2], 16 * SHORT_LEN);
    check_limit(page, &[1], MAX_PAGE);
    check_limit(page, &[2], MAX_CUTS);
    check_limit(page, &[3], MAX_FRAME / 64);
    check_limit(held, &[], MAX_HAVE_KEYS / 8);
}

#[test]
fn what_has_one_length_has_no_other() {
    let (requests, responses) = samples();
    let check = |enter: &dyn Fn(usize) -> bool, length: usize| {
        assert!(enter(length));
        assert!(![0, length - 1, length + 1, 5000].into_iter().any(enter), "{length}");
    };
    for (path, length) in [(0, 32), (2, 32), (3, 32), (4, 64)] {
        check(&|count| is_read(&requests[0], &[path], count), length);
    }
    check(&|count| is_read(&requests[1], &[1, 0, 3], count), 32);
    check(&|count| is_read(&requests[5], &[1, 0, 1], count), 32);
    check(&|count| is_read(&responses[0], &[3], count), 64);
}

/// Limits bind writers, too.
#[test]
fn what_is_made_keeps_the_limits() {
    assert!(Blob::<4>::new(vec![0; 4]).is_some());
    assert!(Blob::<4>::new(vec![0; 5]).is_none());
    assert_eq!(Blob::<4>::cut(vec![0; 5]).len(), 4);
    assert_eq!(List::<u8, 4>::cut(vec![0; 5]).len(), 4);
}
