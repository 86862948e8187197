//! The window over the history: whatever arrives and wherever one scrolls, what is on the screen is the transcript.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyModifiers};
use distchat_node::Message;
use proptest::prelude::*;

use super::scene::{Scene, message};
use crate::chat::transcript::Position;

fn numbered(count: u64) -> impl Iterator<Item = Message> {
    // Every tenth second, so that others can arrive between.
    (0..count).map(|n| message(n * 10, (2 + n % 3) as u8, &format!("message {n:05}")))
}

/// Long after all of it, so that nothing is dated in the future.
fn scene(count: u64) -> Scene {
    let mut scene = Scene::new(80, 24);
    scene.now += 1_000_000_000;
    scene.with_history(numbered(count))
}

/// The numbers of the messages on the screen.
fn on_screen(scene: &Scene) -> Vec<u64> {
    let number = |row: &String| row.split_once("message ")?.1.get(..5)?.parse().ok();
    scene.transcript().iter().filter_map(number).collect()
}

#[test]
fn one_can_read_back_to_the_first_message_and_forth_again() {
    let mut scene = scene(5_000);
    let mut next_up = 5_000;
    let mut seen: Vec<u64> = Vec::new();
    for step in 0.. {
        let rows = on_screen(&scene);
        let fresh: Vec<u64> = rows.into_iter().filter(|number| *number < next_up).collect();
        if step > 1000 {
            panic!("the start is never reached");
        }
        if let Some(first) = fresh.first() {
            seen.splice(0..0, fresh.iter().copied());
            next_up = *first;
        }
        if next_up == 0 {
            break;
        }
        scene.press(KeyCode::PageUp);
    }
    assert_eq!(seen, (0..5_000).collect::<Vec<_>>());
    assert!(scene.app.room().unwrap().transcript.entries().len() <= 2_200);
    for _ in 0..1_000 {
        scene.press(KeyCode::PageDown);
    }
    assert_eq!(on_screen(&scene).last(), Some(&4_999));
    assert!(scene.app.room().unwrap().transcript.is_following());
    scene.key(KeyCode::Home, KeyModifiers::CONTROL);
    assert_eq!(on_screen(&scene).first(), Some(&0));
    scene.key(KeyCode::End, KeyModifiers::CONTROL);
    assert_eq!(on_screen(&scene).last(), Some(&4_999));
}

#[test]
fn a_late_message_does_not_move_what_is_read_and_can_be_gone_to() {
    let mut scene = scene(300);
    for _ in 0..5 {
        scene.press(KeyCode::PageUp);
    }
    let before = scene.transcript();
    let first = on_screen(&scene)[0];
    let late = |second, text| Message { delay: Some(Duration::from_secs(300)), ..message(second, 2, text) };
    scene.arrives(late(first * 10 - 55, "above the screen"));
    assert_eq!(scene.transcript(), before);
    scene.shows("1 earlier message arrived");
    scene.arrives(late(first * 10 + 25, "between the lines"));
    assert_eq!(scene.transcript(), before);
    scene.shows("2 earlier messages arrived");
    scene.arrives(message(9_000, 2, "quite new"));
    assert_eq!(scene.transcript(), before);
    scene.shows("1 new");
    scene.key(KeyCode::Char('e'), KeyModifiers::ALT);
    scene.shows("above the screen (5 minutes late)");
    scene.shows("between the lines (5 minutes late)");
    scene.shows_not("earlier message");
    scene.key(KeyCode::End, KeyModifiers::CONTROL);
    scene.shows("quite new");
    scene.shows_not("1 new");
}

#[test]
fn a_late_message_is_shown_in_its_place_to_whoever_follows() {
    let mut scene = scene(300);
    scene.arrives(Message { delay: Some(Duration::from_secs(60)), ..message(2975, 2, "late") });
    let rows = scene.transcript();
    let at = rows.iter().position(|row| row.contains("late (60 seconds late)")).unwrap();
    assert!(rows[at - 1].contains("message 00297") && rows[at + 1].contains("message 00298"), "{}", scene.screen());
    scene.shows_not("earlier");
}

#[test]
fn whoever_looks_at_the_start_is_not_moved_by_what_comes_before() {
    let mut scene = scene(0);
    scene.arrives(message(9_696, 2, "one"));
    scene.arrives(message(9_700, 2, "two"));
    scene.resize(20, 5);
    scene.key(KeyCode::Home, KeyModifiers::CONTROL);
    let before = scene.transcript();
    scene.arrives(message(0, 3, "before all"));
    assert_eq!(scene.transcript(), before);
    scene.press(KeyCode::PageUp);
    scene.shows("before all");
}

#[test]
fn the_line_of_a_day_stays_where_it_is_read() {
    let mut scene = scene(1);
    for second in 17_846..17_866 {
        scene.arrives(message(second, 2, "x"));
    }
    scene.resize(28, 6);
    let top = message(17_846, 2, "").key;
    scene.app.room_mut().unwrap().transcript.look_at(Position::At { top, behind: -1 });
    scene.settle();
    let before = scene.transcript();
    assert!(before[0].contains("Wednesday"), "{}", scene.screen());
    scene.arrives(message(6_400, 3, "early"));
    assert_eq!(scene.transcript(), before);
    scene.press(KeyCode::PageUp);
    scene.shows("early");
}

#[test]
fn a_flood_among_what_is_read_is_not_held_back_without_end() {
    let mut scene = scene(300);
    for _ in 0..5 {
        scene.press(KeyCode::PageUp);
    }
    let before = scene.transcript();
    let first = on_screen(&scene)[0] * 10;
    for n in 0..1_500 {
        let mut message = message(first + 25, 5, "x");
        message.key.id.0[8..16].copy_from_slice(&u64::to_be_bytes(n));
        scene.comes(message);
    }
    scene.settle();
    assert_eq!(scene.transcript(), before);
    assert!(scene.app.room().unwrap().transcript.held().len() < 1_500);
    scene.press(KeyCode::PageDown);
    check_screen(&scene);
}

#[derive(Clone, Debug)]
enum Act {
    Arrive { second: u64, late: bool },
    Flood(u64),
    Key(KeyCode, KeyModifiers),
    Resize(u16, u16),
    Slow(bool),
    Answer,
}

fn act() -> impl Strategy<Value = Act> {
    let key = prop_oneof![
        3 => Just((KeyCode::PageUp, KeyModifiers::NONE)),
        3 => Just((KeyCode::PageDown, KeyModifiers::NONE)),
        1 => Just((KeyCode::Home, KeyModifiers::CONTROL)),
        1 => Just((KeyCode::End, KeyModifiers::CONTROL)),
        1 => Just((KeyCode::Char('e'), KeyModifiers::ALT)),
        1 => Just((KeyCode::Up, KeyModifiers::CONTROL)),
        1 => Just((KeyCode::Down, KeyModifiers::CONTROL)),
    ];
    prop_oneof![
        4 => (0..30_000_u64, any::<bool>()).prop_map(|(second, late)| Act::Arrive { second, late }),
        1 => (1..600_u64).prop_map(Act::Flood),
        6 => key.prop_map(|(code, modifiers)| Act::Key(code, modifiers)),
        1 => (20..120_u16, 5..40_u16).prop_map(|(width, height)| Act::Resize(width, height)),
        1 => any::<bool>().prop_map(Act::Slow),
        2 => Just(Act::Answer),
    ]
}

/// What is shown is a part of the transcript without a gap, but for what is held back.
fn check_screen(scene: &Scene) {
    let room = scene.app.room().unwrap();
    let Some(seen) = room.transcript.seen() else { return };
    let all = &scene.history[&room.name];
    let shown: Vec<_> = room.transcript.entries().range(seen.first..=seen.last).map(|(key, _)| *key).collect();
    let held = room.transcript.held();
    let expect: Vec<_> =
        all.range(seen.first..=seen.last).map(|(key, _)| *key).filter(|key| !held.contains(key)).collect();
    assert_eq!(shown, expect, "\n{}", scene.screen());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn the_screen_is_a_part_of_the_transcript(count in 0..1500_u64, acts in prop::collection::vec(act(), 1..60)) {
        let mut scene = scene(count);
        let mut newest = count * 10;
        for act in acts {
            let reading = !scene.app.room().unwrap().transcript.is_following();
            let before = scene.transcript();
            let settled = scene.waiting.is_empty();
            match act {
                Act::Arrive { second, late } => {
                    let delay = late.then_some(Duration::from_secs(100));
                    let message = Message { delay, ..message(second, 5, "x") };
                    if scene.history[&scene.app.room().unwrap().name].contains_key(&message.key) {
                        continue;
                    }
                    newest = newest.max(second);
                    scene.arrives(message);
                    if reading && settled && before.iter().all(|row| !row.is_empty()) {
                        prop_assert_eq!(scene.transcript(), before);
                    }
                }
                Act::Flood(count) => for _ in 0..count {
                    newest += 10;
                    scene.comes(message(newest, 4, "flood"));
                },
                Act::Key(code, modifiers) => scene.key(code, modifiers),
                Act::Resize(width, height) => scene.resize(width, height),
                Act::Slow(slow) => scene.slow = slow,
                Act::Answer => scene.answer(),
            }
            scene.settle();
            if scene.waiting.is_empty() {
                check_screen(&scene);
            }
        }
    }
}
