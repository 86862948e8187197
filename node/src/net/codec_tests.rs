use distchat_crdt::{
    AuthorId, Fingerprint, Key, MessageId, Signature, Timestamp, Topic,
    index::Prefix,
    sync::{
        Blob, Branch, Difference, Enter, Entered, Fetch, Filter, Greeting, Have, Hello, List, MAX_CUTS, MAX_PAGE,
        Nodes, Offer, Page, Proof, Range, Refusal, Region, RoomGreeting, RoomHello, Summaries, Summary, Tail, Wanted,
    },
};
use futures::{future::join_all, io::Cursor};
use proptest::prelude::*;
use request_response::Codec as _;

use super::*;

fn key(n: u8) -> Key {
    Key { time: Timestamp(u64::from(n) << 40 | 1), id: MessageId([n; 32]) }
}

fn prefix() -> Prefix {
    Prefix::of::<4>(&key(9), 3)
}

fn branch() -> Branch {
    Branch { prefix: prefix(), children: 0b101, hashes: Blob::cut(vec![7; 16]) }
}

fn requests() -> Vec<Request> {
    let range = |filter| Wanted::Range(Range { region: prefix(), from: Some(key(1)), below: None, filter });
    let items =
        vec![Wanted::Key(key(3)), range(Filter::Except(Blob::cut(vec![1; 24]))), range(Filter::Only(Blob::default()))];
    vec![
        Request::Enter(Enter {
            topic: Topic([1; 32]),
            handle: 1,
            proof: Proof([2; 32]),
            author: AuthorId([3; 32]),
            signature: Signature([4; 64]),
        }),
        Request::Hello(Hello {
            clock: 1 << 41,
            rooms: List::cut(vec![RoomHello {
                handle: 9,
                upper: Timestamp(5),
                count: 1000,
                root: Fingerprint([6; 32]),
            }]),
        }),
        Request::Nodes(Nodes {
            handle: 70_000,
            upper: Timestamp::MAX,
            nonce: u64::MAX,
            items: List::cut(vec![Region { region: Prefix::EMPTY, branch: branch() }]),
        }),
        Request::Fetch(Fetch { handle: 0, upper: Timestamp(0), nonce: 0, items: List::cut(items) }),
        Request::Offer(Offer { handle: 2, messages: Blob::cut(vec![0xab; MAX_PAGE]) }),
        Request::Have(Have { handle: 2, keys: List::cut(vec![key(1), key(2)]) }),
    ]
}

fn responses() -> Vec<Response> {
    let difference = Difference {
        count: 3,
        root: Fingerprint([1; 32]),
        later: 4,
        tail: Some(Tail { messages: Blob::cut(vec![1, 2, 3]), cuts: List::cut(vec![key(8)]) }),
    };
    let greetings = vec![
        RoomGreeting::Equal(5),
        RoomGreeting::Differs(Difference { tail: None, ..difference.clone() }),
        RoomGreeting::Differs(difference),
        RoomGreeting::Refused(Refusal::Unknown),
    ];
    let summaries = vec![Summary::Keys(Prefix::EMPTY, Blob::cut(vec![2; 80])), Summary::Branch(prefix(), branch())];
    vec![
        Response::Entered(Entered {
            handle: 3,
            proof: Proof([1; 32]),
            author: AuthorId([2; 32]),
            signature: Signature([3; 64]),
        }),
        Response::Hello(Greeting { clock: 12, rooms: List::cut(greetings) }),
        Response::Nodes(Summaries { done: 1, summaries: List::cut(summaries) }),
        Response::Page(Page {
            done: 7,
            messages: Blob::cut(vec![9; MAX_PAGE]),
            cuts: List::cut(vec![key(1); MAX_CUTS]),
            lacks: Blob::cut(vec![0xff; 100]),
        }),
        Response::Offered(17),
        Response::Have(Blob::cut(vec![0b11])),
        Response::Refused(Refusal::Unknown),
        Response::Refused(Refusal::Denied),
        Response::Refused(Refusal::Busy),
        Response::Refused(Refusal::Malformed),
    ]
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

fn read_request(bytes: &[u8]) -> io::Result<Incoming> {
    block_on(Codec::default().read_request(&protocol(), &mut Cursor::new(bytes)))
}

fn read_response(bytes: &[u8]) -> io::Result<Response> {
    block_on(Codec::default().read_response(&protocol(), &mut Cursor::new(bytes)))
}

fn with_length(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

#[test]
fn every_request_comes_back() {
    for request in requests() {
        let mut written = Cursor::new(Vec::new());
        block_on(Codec::default().write_request(&protocol(), &mut written, Ok(request.clone()))).unwrap();
        assert_eq!(read_request(written.get_ref()).unwrap(), Ok(request));
    }
}

#[test]
fn every_answer_comes_back() {
    for response in responses() {
        let mut written = Cursor::new(Vec::new());
        block_on(Codec::default().write_response(&protocol(), &mut written, response.clone())).unwrap();
        assert_eq!(read_response(written.get_ref()).unwrap(), response);
    }
}

#[test]
fn an_offer_begins_as_the_reader_expects() {
    let offer = Request::Offer(Offer { handle: 2, messages: Blob::default() });
    assert!(encode(&offer).unwrap()[4..].starts_with(OFFER));
}

#[test]
fn bytes_behind_a_frame_are_refused() {
    let mut bytes = encode(&Response::Offered(1)).unwrap();
    bytes.push(0);
    let bytes = with_length(&bytes[4..]);
    assert_eq!(read_response(&bytes).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let request = Request::Have(Have { handle: 1, keys: List::default() });
    let mut bytes = encode(&request).unwrap();
    bytes.extend([0xf6, 0xf6]);
    assert_eq!(read_request(&with_length(&bytes[4..])).unwrap(), Err(Malformed::Trailing(2)));
}

#[test]
fn bytes_behind_a_request_are_refused() {
    for request in requests() {
        let mut bytes = encode(&request).unwrap();
        bytes.push(0);
        assert_eq!(read_request(&bytes).unwrap(), Err(Malformed::Behind));
    }
    let response = Response::Offered(1);
    let mut bytes = encode(&response).unwrap();
    bytes.push(0);
    assert_eq!(read_response(&bytes).unwrap(), response, "this is read no further");
}

#[test]
fn a_length_beyond_the_limit_is_refused_unread() {
    let long = u32::try_from(MAX_FRAME).unwrap() + 1;
    assert_eq!(read_request(&long.to_be_bytes()).unwrap(), Err(Malformed::TooLong(MAX_FRAME + 1)));
    assert_eq!(read_response(&u32::MAX.to_be_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn only_an_offer_may_be_long() {
    let mut bytes = encode(&requests()[0]).unwrap();
    bytes.resize(4 + MAX_QUESTION + 1, 0);
    assert_eq!(read_request(&with_length(&bytes[4..])).unwrap(), Err(Malformed::TooLong(MAX_QUESTION + 1)));
}

#[test]
fn what_breaks_off_is_no_offence() {
    for request in requests() {
        let bytes = encode(&request).unwrap();
        for cut in [0, 3, 4, 10, bytes.len() - 1] {
            assert_eq!(read_request(&bytes[..cut]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
    let bytes = encode(&responses()[3]).unwrap();
    assert_eq!(read_response(&bytes[..bytes.len() / 2]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn an_own_frame_that_is_too_long_is_not_sent() {
    assert!(encode(&vec![0_u32; MAX_FRAME + 1]).is_err());
}

#[test]
fn deep_nesting_is_refused() {
    for opener in [0x81_u8, 0x9f, 0xa1, 0xbf] {
        for front in [&b""[..], b"\xa1\x64have", b"\xa1\x65fetch\x84\x00\x00\x00\x81"] {
            let body = [front, &vec![opener; 100_000]].concat();
            assert!(read_request(&with_length(&body)).unwrap().is_err());
            assert!(read_response(&with_length(&body)).is_err());
        }
    }
    assert!(read_request(&with_length(&vec![0xc0; 200_000])).unwrap().is_err(), "tags");
}

#[test]
fn an_announced_length_within_allocates_nothing() {
    // An offer whose byte string claims 2^62 bytes, and lists that claim as many items.
    for body in [
        &b"\xa1\x65offer\x82\x00\x5b\x40\x00\x00\x00\x00\x00\x00\x00\x00"[..],
        b"\xa1\x64have\x82\x00\x9b\x40\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\xa1\x65hello\x82\x00\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x00",
    ] {
        assert!(matches!(read_request(&with_length(body)).unwrap(), Err(Malformed::Cbor(_))));
    }
}

/// Says so much, and then nothing more.
struct Dripping(Cursor<Vec<u8>>);

impl AsyncRead for Dripping {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buffer: &mut [u8],
    ) -> std::task::Poll<io::Result<usize>> {
        match std::pin::Pin::new(&mut self.0).poll_read(cx, buffer) {
            std::task::Poll::Ready(Ok(0)) => std::task::Poll::Pending,
            read => read,
        }
    }
}

#[test]
fn requests_that_do_not_come_keep_no_others_out() {
    let offer = Request::Offer(Offer { handle: 2, messages: Blob::cut(vec![7; MAX_PAGE]) });
    let whole = encode(&offer).unwrap();
    block_on(async {
        let codec = Codec { grace: Duration::from_millis(50), ..Codec::default() };
        let slow = (0..500).map(|n| {
            let (mut codec, begun) = (codec.clone(), whole[..(n % 3) * 100].to_vec());
            async move { codec.read_request(&protocol(), &mut Dripping(Cursor::new(begun))).await.unwrap() }
        });
        let slow = tokio::spawn(join_all(slow.collect::<Vec<_>>()));
        tokio::task::yield_now().await;
        let read = codec.clone().read_request(&protocol(), &mut Cursor::new(&whole)).await.unwrap();
        assert_eq!(read, Ok(offer), "while five hundred others drip");
        // These have announced a mebibyte, so they may take longer than the ones that announced nothing.
        slow.abort();
        let begun = Dripping(Cursor::new(vec![0, 0]));
        let nothing = Dripping(Cursor::new(with_length(b"x")[..4].to_vec()));
        let endless = Dripping(Cursor::new(encode(&requests()[0]).unwrap()));
        for mut io in [begun, nothing, endless] {
            assert_eq!(codec.clone().read_request(&protocol(), &mut io).await.unwrap(), Err(Malformed::TooSlow));
        }
        assert_eq!(codec.long_reads.memory.available_permits(), LONG_READS);
    });
}

#[test]
fn nothing_is_decoded_while_its_end_is_waited_for() {
    let garbage = with_length(b"\xff\xff");
    let codec = Codec { grace: Duration::from_millis(50), ..Codec::default() };
    let read = block_on(codec.clone().read_request(&protocol(), &mut Dripping(Cursor::new(garbage.clone()))));
    assert_eq!(read.unwrap(), Err(Malformed::TooSlow));
    assert!(matches!(read_request(&garbage).unwrap(), Err(Malformed::Cbor(_))), "when it has ended it is");
}

proptest! {
    #[test]
    fn garbage_is_an_error(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = with_length(&body);
        prop_assert!(read_request(&bytes).unwrap().is_err());
        prop_assert!(read_response(&bytes).is_err());
    }

    #[test]
    fn a_damaged_frame_does_not_panic(which in 0..6_usize, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = encode(&requests()[which]).unwrap();
        let at = 4 + at.index((bytes.len() - 4).min(200));
        bytes[at] = to;
        let _ = read_request(&bytes);
    }

    #[test]
    fn a_damaged_answer_does_not_panic(which in 0..10_usize, at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = encode(&responses()[which]).unwrap();
        let at = 4 + at.index((bytes.len() - 4).min(200));
        bytes[at] = to;
        let _ = read_response(&bytes);
    }
}
