//! A clock that is a year off neither reorders answers nor blocks anybody, nor does one that is set while people talk.

use distchat_tests::{
    Chat, Launch, Machine, PATIENCE,
    clock::Clock,
    converge::{converged, reported},
    is_room, skip,
};

use crate::common::texts;

const YEAR_AHEAD: &str = "+365d";
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[test]
fn one_of_four_is_a_year_ahead() {
    if !skip::clocks_or_skip() {
        return;
    }
    let machine = Machine::loopback();
    let start = |name, change: fn(Launch) -> Launch| change(machine.chat(name).room("general")).start();
    let right: fn(Launch) -> Launch = |launch| launch;
    let chats = [
        start("ann", right),
        start("bob", right),
        start("cid", right),
        start("dee", |launch| launch.clock(YEAR_AHEAD)),
    ];
    for chat in &chats {
        wait_clocks(chat, 3);
    }
    chats[3].wait_told("clock", PATIENCE);

    // Everybody answers what the one before has said, once it is on the screen.
    let lines: Vec<_> = (0..12).map(|turn| format!("answer {turn}")).collect();
    converse(&chats.each_ref(), &lines);
    let history = converged(&chats.each_ref(), &reported(&chats), PATIENCE);
    assert_eq!(texts(&history), lines, "an answer stands after what it answers");
    assert!(history.iter().all(|message| !message.future), "nobody's message is put off");
}

#[test]
fn two_that_are_a_year_apart_talk_in_order_and_are_told() {
    if !skip::clocks_or_skip() {
        return;
    }
    let machine = Machine::loopback();
    let chats = [machine.chat("ann").start(), machine.chat("bob").clock(YEAR_AHEAD).start()];
    for chat in &chats {
        wait_clocks(chat, 1);
    }
    let lines: Vec<_> = (0..8).map(|turn| format!("answer {turn}")).collect();
    converse(&chats.each_ref(), &lines);
    let history = converged(&chats.each_ref(), &reported(&chats), PATIENCE);
    assert_eq!(texts(&history), lines);
    // Which of the two is right is not known to them.
    for chat in &chats {
        chat.wait_told("clock", PATIENCE);
    }
}

#[test]
fn a_laptop_that_woke_in_another_year_chats_normally_once_its_clock_is_set() {
    if !skip::clocks_or_skip() {
        return;
    }
    let machine = Machine::loopback();
    // Alone, so that nobody can tell it the time.
    let mut laptop = machine.chat("laptop").clock(YEAR_AHEAD).start();
    let premature = laptop.say_and_wait("what year is it?");
    laptop.stop();

    let (ann, bob) = (machine.chat("ann").start(), machine.chat("bob").start());
    ann.say_and_wait("before the laptop");
    bob.wait_text("before the laptop");
    laptop.restart_as(Launch::right_clock);
    laptop.wait_text("before the laptop");
    let chats = [&laptop, &ann, &bob];
    let lines: Vec<_> = (0..6).map(|turn| format!("answer {turn}")).collect();
    converse(&chats, &lines);

    let history = converged(&chats, &reported(chats), PATIENCE);
    let now: Vec<_> = history.iter().filter(|message| message.id != premature.id).collect();
    assert!(now.iter().all(|message| !message.future), "what is said now is of now");
    let said: Vec<_> = now.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(said[0], "before the laptop");
    assert_eq!(said[1..], lines);
    // The premature line is kept everywhere, after all that is of now.
    assert_eq!(history.last(), Some(&premature));
    assert!(history.last().is_some_and(|message| message.future));
    assert_eq!(ann.fingerprint(), laptop.fingerprint());
}

#[test]
fn a_clock_that_jumps_stops_nothing() {
    if !skip::clocks_or_skip() {
        return;
    }
    // Of one of the two, and of both.
    for both in [false, true] {
        let machine = Machine::loopback();
        let clock = Clock::new(machine.directory());
        let ann = machine.chat("ann").set_by(&clock).start();
        let bob = machine.chat("bob");
        let mut bob = if both { bob.set_by(&clock) } else { bob }.start();
        ann.wait_peers(1);
        ann.say_and_wait("before any jump");
        bob.wait_text("before any jump");
        // An hour on, and back; a year on, and two back; and right again.
        for jump in ["+1h", "+0", "+365d", "-365d", "-1h", "+0"] {
            clock.set(jump);
            // Both ways, and what waits for a timer: a room that is started again, and somebody who is dialled again.
            for (from, to) in [(&ann, &bob), (&bob, &ann)] {
                let line = format!("{both} {jump} {}", from.launch().profile_dir().display());
                from.say_and_wait(&line);
                to.wait_text(&line);
            }
            if jump.ends_with('d') {
                let mark = ann.mark();
                ann.send("/crash");
                ann.wait_from(mark, "the room again", PATIENCE, |event| is_room(event, "lobby", "restarted"));
            }
            bob.kill9();
            ann.say_and_wait(&format!("{both} {jump} to nobody"));
            bob.restart();
            bob.wait_text(&format!("{both} {jump} to nobody"));
            // A receipt: somebody is asked again and again until they have it.
            let sent = machine.chat("ann").options(["send", "lobby", "--wait", "1", &format!("jump {jump}")]).run(b"");
            assert_eq!(sent.code, Some(0), "{jump}: {sent:?}");
        }
        let history = converged(&[&ann, &bob], &reported([&ann, &bob]), PATIENCE);
        assert_eq!(history.len(), 1 + 6 * 4);
    }
}

/// The chats take turns; each speaks when it sees what the one before has said.
fn converse(chats: &[&Chat], lines: &[String]) {
    for (turn, line) in lines.iter().enumerate() {
        let speaker = chats[turn % chats.len()];
        if let Some(before) = turn.checked_sub(1) {
            speaker.wait_text(&lines[before]);
        }
        let said = speaker.say_and_wait(line);
        assert!(!said.future, "{line:?} is put off by the one who said it: {}", speaker.report());
    }
}

/// Waits until the chat knows the clocks of that many peers; before that it cannot know that its own is wrong.
fn wait_clocks(chat: &Chat, count: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let answer = chat.ask("/peers", "peers");
        let offsets: Vec<_> = answer["peers"]
            .as_array()
            .expect("an array")
            .iter()
            .filter_map(|peer| peer["clock_offset_ms"].as_i64())
            .collect();
        if offsets.len() >= count {
            let far = offsets.iter().filter(|offset| offset.unsigned_abs() > 300 * DAY_MS).count();
            assert!(far == 1 || far == count, "one of us is a year off, and that is what is seen: {offsets:?}");
            return;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "it knows {} clocks of {count}: {}",
            offsets.len(),
            chat.report()
        );
        chat.pause(chat.mark(), std::time::Duration::from_millis(100));
    }
}
