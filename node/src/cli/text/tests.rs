use super::*;
use crate::cli::testing::{self, NOON, author, fingerprint, message, peer_id, room_name};

fn view() -> TextView {
    TextView::new(Clock::utc())
}

/// The lines a report gives; those for stdout as they are, notices after `| `.
fn shown(view: &mut TextView, report: Report) -> Vec<String> {
    texts(view.render(&report))
}

fn texts(lines: Vec<Line>) -> Vec<String> {
    let text = |line| match line {
        Line::Data(text) => text,
        Line::Notice(text) => format!("| {text}"),
    };
    lines.into_iter().map(text).collect()
}

fn arrives(view: &mut TextView, room: &str, message: Message) -> Vec<String> {
    shown(view, Report::Event(Event::Message { room: room_name(room), message: message.into() }))
}

fn room(name: &str, state: RoomState) -> Report {
    Report::Event(Event::Room { room: room_name(name), messages: 1, fingerprint: fingerprint(3), state })
}

#[test]
fn a_message_is_a_line() {
    let mut view = view();
    assert_eq!(shown(&mut view, room("general", RoomState::Open)), ["| * general is open, 1 message"]);
    assert_eq!(arrives(&mut view, "general", message(1, "ann", "hello")), ["[22:13] <ann> hello"]);
    let mut shared = message(2, "ann", "hi");
    (shared.nick_shared, shared.late) = (true, true);
    assert_eq!(arrives(&mut view, "general", shared), ["[22:13] <ann 07070707> hi"]);
    shown(&mut view, room("rust", RoomState::Open));
    assert_eq!(arrives(&mut view, "rust", message(3, "ann", "two")), ["rust [22:13] <ann> two"]);
    shown(&mut view, room("rust", RoomState::Left));
    assert_eq!(arrives(&mut view, "general", message(4, "ann", "one")), ["[22:13] <ann> one"]);
}

#[test]
fn everything_goes_through_the_gate() {
    let nasty = "\u{1b}[31m\r\u{202e}";
    let safe = "␛[31m␍\\u{202e}";
    let mut view = view();
    let line = format!("[22:13] <{safe}> {safe}");
    assert_eq!(arrives(&mut view, "general", message(1, nasty, nasty)), [line.as_str()]);
    for given in [
        Report::Error { code: "x".into(), message: nasty.to_owned() },
        Report::Notice(nasty.to_owned()),
        Report::Event(Event::Warning { code: "x".into(), message: nasty.to_owned() }),
    ] {
        let lines = shown(&mut view, given);
        assert!(lines.len() == 1 && lines[0].ends_with(safe), "{lines:?}");
    }
    let joined = Event::Peer {
        peer_id: peer_id(1),
        author: Some(author(7)),
        connected: true,
        address: "/ip4/127.0.0.1/tcp/1".parse().unwrap(),
    };
    assert_eq!(shown(&mut view, Report::Event(joined)), [format!("| * {safe} (07070707) is here")]);
    let lines =
        shown(&mut view, Report::Peers { peers: vec![testing::peer_info(1, Some(7), Some(12))], listen: Vec::new() });
    assert_eq!(lines, [format!("{safe} (07070707) at /ip4/127.0.0.1/tcp/1, in general, clock +12 ms")]);
}

#[test]
fn the_future_is_folded_until_it_comes() {
    let mut view = view();
    let mut spam = message(5, "mallory", "spam");
    spam.future = true;
    assert!(!view.needs_tick());
    assert!(arrives(&mut view, "general", spam.clone()).is_empty());
    assert!(view.needs_tick());
    let hidden = "| * 1 message in general dated in the future, hidden until its time comes: 1 from mallory (07070707)";
    assert_eq!(texts(view.tick(NOON)), [hidden]);
    assert!(view.tick(NOON).is_empty());
    assert_eq!(texts(view.tick(NOON + 5)), ["[22:13] <mallory> spam"]);
    assert!(!view.needs_tick());
    spam.future = false;
    assert!(arrives(&mut view, "general", spam).is_empty(), "shown once");
    let mut own = message(6, "me", "sent ahead of time");
    (own.future, own.own) = (true, true);
    assert_eq!(arrives(&mut view, "general", own), ["[22:13] <me> sent ahead of time"]);
}

#[test]
fn what_is_asked_for_is_shown_again_and_nothing_else_is() {
    let mut view = view();
    let messages = vec![message(1, "ann", "one"), message(2, "ann", "two")];
    let history = || Report::History { room: room_name("general"), messages: messages.clone() };
    arrives(&mut view, "general", message(1, "ann", "one"));
    for _ in 0..2 {
        assert_eq!(shown(&mut view, history()), ["[22:13] <ann> one", "[22:13] <ann> two"]);
    }
    assert!(arrives(&mut view, "general", message(2, "ann", "two")).is_empty(), "shown once");
    let empty = Report::History { room: room_name("x"), messages: Vec::new() };
    assert_eq!(shown(&mut view, empty), ["| * x has no messages yet"]);
}

#[test]
fn peers_come_and_go() {
    let mut view = view();
    let event = |author, connected| {
        let address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        Report::Event(Event::Peer { peer_id: peer_id(1), author, connected, address })
    };
    assert!(shown(&mut view, event(None, true)).is_empty());
    assert_eq!(shown(&mut view, event(Some(author(7)), true)), ["| * 07070707 is here"]);
    assert!(shown(&mut view, event(Some(author(7)), true)).is_empty());
    arrives(&mut view, "general", message(1, "ann", "x"));
    let synced = |received, sent| {
        let (room, peer_id, fingerprint) = (room_name("general"), peer_id(1), fingerprint(3));
        Report::Event(Event::Synced { room, peer_id, received, sent, fingerprint })
    };
    assert!(shown(&mut view, synced(0, 0)).is_empty());
    assert_eq!(shown(&mut view, synced(1, 2)), ["| * general: synced with ann (07070707), 1 message received, 2 sent"]);
    assert_eq!(shown(&mut view, event(None, false)), ["| * ann (07070707) has left"]);
    assert!(shown(&mut view, event(None, false)).is_empty());
}

#[test]
fn what_is_missing_is_said_when_it_changes() {
    let mut view = view();
    let missing = |missing| Report::Missing { room: room_name("general"), missing };
    assert!(shown(&mut view, missing(0)).is_empty());
    assert_eq!(shown(&mut view, missing(3)), ["| * general: 3 messages known, not here yet"]);
    assert!(shown(&mut view, missing(3)).is_empty());
    assert_eq!(shown(&mut view, missing(0)), ["| * general: nothing is missing any more"]);
}

#[test]
fn answers_are_data() {
    let mut view = view();
    let info = testing::fingerprint_info(9, 0xab, 2);
    let full = "ab".repeat(32);
    assert_eq!(
        shown(&mut view, Report::Fingerprint { room: room_name("general"), info }),
        [format!("general: 9 messages, 2 missing, fingerprint abab abab abab abab ({full})")]
    );
    let rooms = vec![testing::room_info("general", RoomState::Open), testing::room_info("rust", RoomState::Failed)];
    assert_eq!(
        shown(&mut view, Report::Rooms { rooms, current: Some(room_name("rust")) }),
        ["  general: 9 messages, 2 peers, open", "> rust: 9 messages, 2 peers, failed"]
    );
    assert!(shown(&mut view, Report::Help).iter().any(|line| line.contains("/history [N]")));
    let (peers, listen) = (Vec::new(), vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()]);
    assert_eq!(
        shown(&mut view, Report::Peers { peers, listen }),
        ["| * nobody is connected", "| * your address: /ip4/127.0.0.1/tcp/1"]
    );
}

#[test]
fn what_goes_wrong_is_said() {
    let mut view = view();
    for (event, expect) in [
        (Event::Lagged { missed: 7 }, "7 events"),
        (Event::Forked { room: room_name("general"), author: author(7) }, "two places"),
        (Event::ClockOff { offset_ms: -3_600_000 }, "60 minutes"),
        (Event::Warning { code: "mdns".into(), message: "mDNS is off".to_owned() }, "mDNS is off"),
    ] {
        let lines = shown(&mut view, Report::Event(event));
        assert!(lines[0].starts_with("| * error: ") && lines[0].contains(expect), "{lines:?}");
    }
    for (state, expect) in [
        (RoomState::Failed, "/restart general"),
        (RoomState::Restarted, "started again"),
        (RoomState::Paused, "takes nothing in for now"),
        (RoomState::Open, "takes messages in again"),
    ] {
        let lines = shown(&mut view, room("general", state));
        assert!(lines[0].contains(expect), "{lines:?}");
    }
}
