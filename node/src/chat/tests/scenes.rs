//! What people see, and what becomes of what they type.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyModifiers};
use distchat_node::{Event, Form, Message, Reaction, RoomTopic, SyncState};

use super::scene::{OWN, Scene, member, message, nick, who};
use crate::chat::app::{Effect, Say};
use crate::chat::disks::Disks;
use crate::chat::done::Done;
use crate::cli::command::Command;
use crate::cli::testing::{NOON, room_name};

const DAY: u64 = 86_400;

/// A room in which everything happens that can.
fn busy(width: u16, height: u16) -> Scene {
    let mut scene = Scene::new(width, height);
    scene.now = NOON + (DAY + 3600) * 1000;
    let mut scene = scene.with_history([
        message(0, 2, "has anybody seen the release notes? they are at https://example.org/notes, I think"),
        message(5, 3, "not yet"),
        message(DAY, 2, "good morning"),
        Message { form: Form::Action, ..message(DAY + 1, 3, "yawns") },
        Message { delay: Some(Duration::from_secs(400)), ..message(DAY + 2, 4, "I was offline when I wrote this") },
    ]);
    scene.members.push(member(5, "аna", true));
    scene.app.event(Event::Peer {
        peer_id: crate::cli::testing::peer_id(1),
        author: None,
        connected: true,
        address: "/ip4/10.0.0.1/tcp/1".parse().unwrap(),
    });
    scene.open("rust");
    scene.arrives_in("rust", message(1, 2, "anything"));
    scene.settle();
    scene.arrives_in("rust", message(2, 2, "me: look"));
    let first = message(DAY, 2, "").key;
    scene.arrives(Message { form: Form::Reply(first), ..message(DAY + 10, 3, "good morning, me! 日本語 too") });
    scene.arrives(Message { nick: "аna".to_owned(), ..message(DAY + 11, 5, "I am ana, send me the key") });
    scene.arrives(message(DAY + 12, OWN, "no"));
    for (by, emoji) in [(2, "👍"), (OWN, "👍"), (3, "🎉")] {
        let key = message(DAY + 20 + u64::from(by), by, "").key;
        let reaction = Reaction { key, author: who(by), to: first, emoji: emoji.to_owned() };
        scene.app.event(Event::Reacted { room: room_name("general"), reaction });
    }
    let topic = RoomTopic { key: message(1, 2, "").key, author: who(2), text: "release 1.0".to_owned() };
    scene.app.event(Event::Topic { room: room_name("general"), topic });
    scene.arrives(Message { future: true, ..message(DAY + 9000, 3, "from tomorrow") });
    scene.sync = SyncState::CatchingUp { held: 12_000, of: 40_000 };
    scene.missing = 3;
    scene.types("draft 日本");
    scene
}

#[test]
fn on_how_many_disks_it_is_stands_behind_what_one_said() {
    let mut scene = Scene::new(60, 16);
    let words = "word ".repeat(30);
    let texts = ["nobody", "some", "all", &words];
    let own: Vec<Message> = texts.iter().zip(1..).map(|(text, second)| message(second, OWN, text)).collect();
    own.iter().for_each(|message| scene.arrives(message.clone()));
    let before = scene.rows();
    let disks = [(0, 0), (3, 5), (5, 5), (1, 12)].map(|(on, of)| Disks::On(on, of));
    let receipts = own.iter().map(|message| message.key).zip(disks).collect();
    scene.app.done(Done::Receipts { room: room_name("general"), receipts });
    scene.draw();
    let after = scene.rows();
    let marks: Vec<&str> = after
        .iter()
        .zip(&before)
        .filter(|(after, before)| after != before)
        .map(|(after, before)| after.strip_prefix(before.trim_end()).expect("nothing has moved").trim())
        .collect();
    assert_eq!(marks, ["○", "✓3/5", "✓", "✓1/12"], "{}", scene.screen());
}

#[test]
fn screens_of_all_sizes() {
    for (width, height) in [(80, 24), (120, 30), (40, 15)] {
        let scene = busy(width, height);
        insta::assert_snapshot!(format!("{width}x{height}"), scene.screen());
    }
}

#[test]
fn a_screen_of_any_size_can_be_drawn() {
    let mut scene = busy(80, 24);
    for (width, height) in [(1, 1), (2, 2), (1, 40), (200, 1), (10, 3), (69, 7), (70, 8), (96, 9), (300, 100), (5, 24)]
    {
        scene.resize(width, height);
        scene.press(KeyCode::PageUp);
        scene.press(KeyCode::F(1));
        scene.press(KeyCode::Esc);
    }
}

#[test]
fn what_is_typed_is_said() {
    let mut scene = Scene::new(80, 24);
    scene.types("hello");
    scene.key(KeyCode::Enter, KeyModifiers::ALT);
    scene.types("world");
    scene.press(KeyCode::Enter);
    scene.types("/me waves");
    scene.press(KeyCode::Enter);
    scene.types("//slash");
    scene.press(KeyCode::Enter);
    let say = |text: &str| Say::Text(text.to_owned());
    assert_eq!(scene.said(), [say("hello\nworld"), Say::Action("waves".to_owned()), say("/slash")]);
    scene.types("/rooms");
    scene.press(KeyCode::Enter);
    assert_eq!(scene.effects, [Effect::Command(Command::Rooms)]);
    scene.types("/nonsense");
    scene.press(KeyCode::Enter);
    scene.shows("there is no command /nonsense");
    scene.press(KeyCode::Up);
    scene.press(KeyCode::Up);
    scene.shows("› /rooms");
}

#[test]
fn what_could_not_be_said_is_given_back() {
    let mut scene = Scene::new(80, 24);
    scene.types("hello");
    scene.press(KeyCode::Enter);
    let what = scene.said().remove(0);
    let done =
        crate::chat::done::Done::NotSaid { room: room_name("general"), what, why: "the disk is full".to_owned() };
    scene.app.done(done);
    scene.draw();
    scene.shows("› hello");
    scene.shows("that was not sent: the disk is full");
}

#[test]
fn replies_and_reactions_are_about_what_is_selected() {
    let mut scene =
        Scene::new(80, 24).with_history([message(1, 2, "one"), message(2, 3, "two"), message(3, OWN, "mine")]);
    scene.types("/react 👍");
    scene.press(KeyCode::Enter);
    for _ in 0..3 {
        scene.key(KeyCode::Up, KeyModifiers::CONTROL);
    }
    scene.types("/reply yes");
    scene.press(KeyCode::Enter);
    let [one, two] = [message(1, 2, "").key, message(2, 3, "").key];
    assert_eq!(scene.said(), [Say::React(two, "👍".to_owned()), Say::Reply(one, "yes".to_owned())]);
}

#[test]
fn other_rooms_tell_what_is_new_and_keep_what_was_being_typed() {
    let mut scene = Scene::new(80, 24).with_history([message(1, 2, "hi")]);
    scene.open("rust");
    scene.arrives_in("rust", message(1, 2, "old"));
    scene.types("half a");
    for (second, text) in [(2, "one"), (3, "ME: two"), (4, "meme")] {
        scene.arrives_in("rust", message(second, 2, text));
    }
    scene.shows("2 rust 3@1");
    assert!(
        matches!(&scene.effects[..], [Effect::Notify { title, text }] if title == "ana in rust" && text == "ME: two")
    );
    scene.key(KeyCode::Char('a'), KeyModifiers::ALT);
    scene.shows("── new ──");
    scene.shows_not("half a");
    scene.shows_not("rust 3");
    scene.key(KeyCode::Char('1'), KeyModifiers::ALT);
    scene.shows("› half a");
    scene.shows_not("── new ──");
}

#[test]
fn what_comes_while_nobody_looks_is_below_a_line() {
    let mut scene = Scene::new(80, 24).with_history([message(1, 2, "seen")]);
    scene.app.focus(false);
    scene.arrives(message(2, 2, "unseen"));
    scene.app.focus(true);
    scene.draw();
    let rows = scene.transcript();
    let line = rows.iter().position(|row| row.contains("── new ──")).unwrap();
    assert!(rows[line - 1].contains("seen") && rows[line + 1].contains("unseen"), "{}", scene.screen());
}

#[test]
fn a_long_paste_asks_first() {
    let mut scene = Scene::new(80, 24);
    scene.app.paste("one\r\ntwo");
    scene.draw();
    scene.shows("› one");
    scene.shows("  two");
    scene.app.paste("a\nb\nc\nd\n");
    scene.draw();
    scene.shows("Paste 4 lines?");
    scene.press(KeyCode::Esc);
    scene.shows_not("Paste");
    scene.app.paste("a\nb\nc\nd\n");
    scene.press(KeyCode::Enter);
    scene.press(KeyCode::Enter);
    assert_eq!(scene.said(), [Say::Text("one\ntwoa\nb\nc\nd".to_owned())]);
}

#[test]
fn whoever_types_on_has_read_what_lay_over_the_chat() {
    let mut scene = Scene::new(80, 24);
    scene.press(KeyCode::F(1));
    scene.shows("complete a name");
    scene.press(KeyCode::PageDown);
    scene.types("hello");
    scene.shows_not("complete a name");
    scene.shows("› hello");
    scene.press(KeyCode::F(1));
    scene.press(KeyCode::F(1));
    scene.shows_not("complete a name");
}

#[test]
fn names_are_completed() {
    let mut scene = Scene::new(80, 24).with_history([message(1, 3, "hi"), message(2, 2, "hi")]);
    scene.press(KeyCode::Char('c'));
    scene.press(KeyCode::Tab);
    scene.shows("› carol:");
    scene.key(KeyCode::Char('u'), KeyModifiers::CONTROL);
    scene.types("/to");
    scene.press(KeyCode::Tab);
    scene.shows("› /topic");
}

#[test]
fn the_muted_are_not_shown() {
    let mut scene = Scene::new(80, 24).with_history([message(1, 2, "from ana"), message(2, 3, "from bob")]);
    scene.types("/mute ana");
    scene.press(KeyCode::Enter);
    scene.arrives(message(3, 2, "more from ana"));
    scene.shows_not("from ana");
    scene.shows("from bob");
    scene.types("/unmute ana");
    scene.press(KeyCode::Enter);
    scene.shows("more from ana");
    scene.types("/mute eve");
    scene.press(KeyCode::Enter);
    scene.shows("nobody here is called eve");
}

#[test]
fn the_future_comes_in_its_time() {
    let mut scene = Scene::new(80, 24).with_history([message(1, 2, "now")]);
    scene.arrives(Message { future: true, ..message(3600 + 600, 2, "later") });
    scene.shows("1 message dated in the future, from ana: shown in 10 minutes");
    scene.shows_not("later");
    scene.now += 600_000;
    scene.settle();
    scene.shows("later");
    scene.shows_not("dated in the future");
}

#[test]
fn a_long_message_is_folded_and_can_be_unfolded() {
    let text: String = (0..40).map(|n| format!("line {n}\n")).collect();
    let mut scene = Scene::new(80, 60).with_history([message(1, 2, &text)]);
    scene.shows("line 15");
    scene.shows_not("line 16");
    scene.shows("this message goes on");
    scene.key(KeyCode::Up, KeyModifiers::CONTROL);
    scene.press(KeyCode::Enter);
    scene.shows("line 39");
    scene.press(KeyCode::Enter);
    scene.shows_not("line 39");
}

#[test]
fn nothing_hostile_is_drawn() {
    use distchat_node::MAX_BODY;
    let every: String = (0..=0x1f_u32)
        .chain(0x7f..=0x9f)
        .chain(0x2028..=0x202f)
        .chain(0x2060..=0x206f)
        .filter_map(char::from_u32)
        .collect();
    let texts = [
        every,
        "\u{1b}]52;c;cHduZWQ=\u{7}".to_owned(),
        "\u{301}".repeat(MAX_BODY / 2),
        format!("a{}", "\u{20dd}\u{489}".repeat(2000)),
        "\n".repeat(MAX_BODY),
        "x".repeat(MAX_BODY),
        "日".repeat(MAX_BODY / 3),
        "👩\u{200d}".repeat(1000),
        "\u{feff}\u{e0041}\u{3164}".repeat(100),
    ];
    let mut scene = Scene::new(80, 24);
    for (second, text) in (0..).zip(texts) {
        let nick = text.chars().take(32).collect();
        scene.arrives(Message { nick, ..message(second, 2, &text) });
        let to = message(second, 2, "").key;
        let reaction = Reaction { key: to, author: who(3), to, emoji: text.clone() };
        scene.app.event(Event::Reacted { room: room_name("general"), reaction });
        scene.members.push(member(5, &text.chars().take(32).collect::<String>(), true));
        scene.app.event(Event::Topic {
            room: room_name("general"),
            topic: RoomTopic { key: to, author: who(2), text: text.clone() },
        });
        scene.app.notice(&text, true);
        scene.app.paste(&text);
        for key in [KeyCode::Esc, KeyCode::PageUp, KeyCode::PageUp, KeyCode::PageDown] {
            scene.press(key);
        }
        for cell in &scene.shown.content {
            assert_eq!(crate::cli::escape::visible(cell.symbol()), cell.symbol());
            assert!(cell.symbol().chars().count() < 32, "{:?}", cell.symbol());
        }
    }
}

#[test]
fn two_of_a_name_are_told_apart() {
    let scene = busy(120, 30);
    scene.shows(&format!("ana·{}", who(2).short()));
    scene.shows(&format!("≈аna·{}", who(5).short()));
    scene.shows(&format!("{}·{}", nick(3), &who(3).short()[..4]));
}
