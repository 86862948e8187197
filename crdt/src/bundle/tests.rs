//! What is read of bundles that were cut, changed, shuffled and made up.

use proptest::prelude::*;

use super::{writer::frame, *};
use crate::{Draft, Keypair, RoomId, RoomName, Timestamp};

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

/// So many messages of a room, with bodies of that length.
fn messages(name: &str, count: u64, body: usize) -> Vec<Vec<u8>> {
    let message = |n| {
        let draft = Draft {
            room: RoomId::of(&room(name)),
            seq: 0,
            time: Timestamp(n + 1),
            prev: None,
            seen: Vec::new(),
            kind: 0,
            body: vec![n as u8; body],
        };
        draft.sign(&Keypair::from_seed([7; 32])).unwrap().bytes().to_vec()
    };
    (0..count).map(message).collect()
}

fn bundle(name: &str, messages: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), room(name));
    messages.iter().for_each(|message| writer.push(message).unwrap());
    writer.finish().unwrap()
}

/// The messages of each room, in the order in which they were read, and how the file was found.
fn read(mut file: &[u8]) -> (Vec<(RoomName, Vec<u8>)>, Tally) {
    let mut reader = Reader::new(&mut file);
    let mut all = Vec::new();
    while let Some(part) = reader.next_part().unwrap() {
        if let Part::Messages { room, messages } = part {
            all.extend(messages.into_iter().map(|message| (room.clone(), message)));
        }
    }
    assert_eq!(reader.tally().messages, all.len() as u64);
    (all, *reader.tally())
}

fn of(name: &str, messages: &[Vec<u8>]) -> Vec<(RoomName, Vec<u8>)> {
    messages.iter().map(|message| (room(name), message.clone())).collect()
}

/// Where the frames begin, and the end.
fn frames(file: &[u8]) -> Vec<usize> {
    let mut at = vec![0];
    while let Some(head) = file.get(at[at.len() - 1]..).and_then(Head::parse) {
        at.push(at[at.len() - 1] + head.frame());
    }
    at
}

#[test]
fn what_is_written_is_read() {
    for count in [0, 1, 3, 40] {
        let written = messages("general", count, 9_000);
        let file = bundle("general", &written);
        let (read, tally) = read(&file);
        assert_eq!(read, of("general", &written));
        assert!(tally.is_whole(), "{tally:?}");
        assert_eq!(tally.stated, Some(count));
    }
    // Several behind each other, and one longest name.
    let long = "\u{10400}".repeat(64).to_lowercase();
    let (one, two) = (messages("general", 3, 5), messages(&long, 4, 5));
    let (read, tally) = read(&[bundle("general", &one), bundle(&long, &two)].concat());
    assert_eq!(read, [of("general", &one), of(&long, &two)].concat());
    assert!(tally.is_whole());
}

#[test]
fn what_cannot_be_a_message_is_not_written() {
    let mut writer = Writer::new(Vec::new(), room("general"));
    assert_eq!(writer.push(&vec![0; crate::MAX_MESSAGE + 1]).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    assert_eq!(writer.messages(), 0);
}

#[test]
fn a_part_is_worth_what_is_in_it() {
    let written = messages("general", 20, 9_000);
    let file = bundle("general", &written);
    let begins = frames(&file);
    assert!(begins.len() > 3, "several frames");
    let mut before = 0;
    for at in (0..file.len()).step_by(97).chain(begins.iter().flat_map(|at| [at.saturating_sub(1), *at, at + 1])) {
        let at = at.min(file.len());
        let (read, tally) = read(&file[..at]);
        assert_eq!(read, of("general", &written[..read.len()]), "cut at {at}");
        assert_eq!(tally.is_whole(), at == file.len());
        before = before.max(read.len());
    }
    assert_eq!(before, 20);
    // The second half, begun anywhere in a frame.
    for at in begins[1] + 1..begins[1] + 40 {
        let (read, _) = read(&file[at..]);
        assert_eq!(read[read.len() - 6..], of("general", &written[14..]), "begun at {at}");
    }
    let shuffled: Vec<u8> = begins.windows(2).rev().flat_map(|ends| file[ends[0]..ends[1]].to_vec()).collect();
    let (mut read, tally) = read(&shuffled);
    read.sort();
    let mut expect = of("general", &written);
    expect.sort();
    assert_eq!(read, expect);
    assert!(tally.is_whole(), "the order is of no consequence");
}

#[test]
fn a_flipped_bit_costs_one_message_at_most() {
    let written = messages("general", 12, 9_000);
    let file = bundle("general", &written);
    let begins = frames(&file);
    let near = begins.iter().flat_map(|at| *at..at + 64);
    for at in near.chain((0..file.len()).step_by(211)).filter(|at| *at < file.len()) {
        for bit in [0, 3, 7] {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let (read, tally) = read(&damaged);
            let here: Vec<_> = of("general", &written).into_iter().filter(|message| read.contains(message)).collect();
            assert!(here.len() >= 11, "byte {at} bit {bit}: {} {tally:?}", here.len());
            assert!(!tally.is_whole(), "byte {at} bit {bit}");
            assert!(read.len() <= 12 + 1, "byte {at} bit {bit}: no more than there were");
        }
    }
}

#[test]
fn bytes_that_were_lost_do_not_cost_the_next_frame() {
    let written = messages("general", 20, 9_000);
    let file = bundle("general", &written);
    let begins = frames(&file);
    for (at, gone) in [(begins[1] + 100, 1), (begins[1] + 12_000, 5_000), (begins[1] + 9, 3)] {
        let mut damaged = file.clone();
        damaged.drain(at..at + gone);
        let (read, tally) = read(&damaged);
        assert!(read.len() >= 20 - 3, "{gone} bytes at {at}: {} read", read.len());
        assert!(!tally.is_whole());
    }
    let (read, tally) = read(&[b"something in front", &file[..], b"and behind"].concat());
    assert_eq!((read.len(), tally.lost, tally.damaged), (20, 28, 0));
}

#[test]
fn other_frames_are_passed_over() {
    let written = messages("general", 2, 5);
    let mut newer = frame(kind::MESSAGES, &room("general"), b"something else");
    newer[8] = 2;
    let end = newer.len() - CHECKSUM;
    let sum = checksum(&newer[..end]);
    newer[end..].copy_from_slice(&sum);
    let later = frame(77, &room("general"), b"a kind of later");
    let (read, tally) = read(&[later, newer, bundle("general", &written)].concat());
    assert_eq!(read, of("general", &written));
    assert_eq!((tally.newer, tally.damaged, tally.lost, tally.intact), (1, 0, 0, 3));
}

#[test]
fn a_file_made_to_cost_much_does_not() {
    // Every few bytes a frame begins that is as long as one can be.
    let mut head = frame(kind::MESSAGES, &room("x"), &[0; MAX_BUNDLE_CONTENT]);
    head.truncate(HEAD + 1);
    let file = head.repeat(4 << 20 >> 4);
    let mut reader = Reader::new(&file[..]);
    while reader.next_part().unwrap().is_some() {}
    assert!(reader.checked <= 18 * file.len() as u64, "{} bytes checked", reader.checked);
    assert_eq!(reader.done, file.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_cause_a_panic(
        pieces in prop::collection::vec((any::<prop::sample::Index>(), 0..3000_usize, any::<Vec<u8>>()), 0..12),
    ) {
        let file = bundle("general", &messages("general", 4, 600));
        let made: Vec<u8> = pieces.iter().flat_map(|(at, len, junk)| {
            let at = at.index(file.len());
            [&file[at..(at + len).min(file.len())], junk].concat()
        }).collect();
        let (read, tally) = read(&made);
        prop_assert!(tally.lost <= made.len() as u64);
        let bytes: usize = read.iter().map(|(_, message)| message.len()).sum();
        prop_assert!(bytes <= made.len());
    }
}
