//! What lines that begin with a slash do, on both sides.

use distchat_tests::{Chat, Key, Machine, Modifier, PATIENCE, Screen, Terminal, is, is_message};

use crate::chat_screen::{SIZE, enter, sit, typed, wait_company, wait_gone, wait_room, write_down};

const CTRL_UP: Key = Key::With(Modifier::Ctrl, &Key::Up);

/// Ann at a terminal, and bob with a pipe.
fn pair() -> (Terminal, Chat) {
    let machine = Machine::loopback();
    let ann = sit(machine.chat("ann").options(["--memory"]), SIZE);
    let bob = machine.chat("bob").options(["--memory"]).start();
    wait_company(&ann);
    (ann, bob)
}

#[test]
fn an_action_is_told_of_its_actor() {
    let (ann, bob) = pair();
    enter(&ann, "/me waves");
    bob.wait_for("it", PATIENCE, |event| is_message(event, "waves") && event["form"] == "action");
    let screen = ann.wait_text(" waves");
    assert!(screen.contains("* │ ann·"), "{screen}");
    bob.send("/me waves back");
    ann.wait("his", |screen| screen.contains("* │ bob·") && screen.contains(" waves back"));
}

#[test]
fn a_reply_shows_what_it_answers() {
    let (ann, bob) = pair();
    let question = bob.say_and_wait("who is there?");
    bob.say("anybody?");
    ann.wait_text("anybody?");
    ann.key(CTRL_UP);
    ann.key(CTRL_UP);
    enter(&ann, "/reply me");
    bob.wait_for("the answer", PATIENCE, |event| is_message(event, "me") && event["reply_to"] == question.id.as_str());
    let screen = ann.wait_text("↪ bob: who is there?");
    let (_, row) = screen.find("↪").expect("it is on the screen");
    assert!(screen.row(row + 1).ends_with("│ me"), "{screen}");
    bob.send("/reply good");
    ann.wait_text("↪ ann: me");
}

#[test]
fn reactions_and_topics_are_seen_on_both_sides() {
    let machine = Machine::loopback();
    let [ann, bob] = ["ann", "bob"].map(|name| sit(machine.chat(name).options(["--memory"]), SIZE));
    wait_company(&ann);
    enter(&bob, "a good idea");
    ann.wait_text("a good idea");
    enter(&ann, "/react 👍");
    // Her own has a mark.
    ann.wait_text("👍 1*");
    bob.wait_text("👍 1");
    enter(&ann, "/react 🎉");
    bob.wait("the other instead", |screen| screen.contains("🎉 1") && !screen.contains("👍"));
    enter(&ann, "/react");
    wait_gone(&bob, "🎉");

    enter(&ann, "/topic whales");
    for terminal in [&ann, &bob] {
        terminal.wait("the topic", |screen| screen.row(0) == " lobby  whales");
    }
    enter(&bob, "/topic -");
    for terminal in [&ann, &bob] {
        terminal.wait("no topic", |screen| screen.row(0) == " lobby");
    }
}

#[test]
fn who_is_muted_is_not_shown_until_they_are_unmuted() {
    let (ann, bob) = pair();
    ann.resize(100, 24);
    bob.say("buy this");
    // Names are asked for once a second at most.
    ann.wait("it, and his name", |screen| screen.contains("│ buy this") && screen.contains("● bob·"));
    enter(&ann, "/mute bob");
    ann.wait("nothing of bob's", |screen| screen.contains("not shown any more") && !screen.contains("buy this"));
    bob.say("buy that");
    // It has come when what comes behind it has.
    bob.send("/topic sales");
    let screen = ann.wait_text("sales");
    assert!(!screen.contains("buy that"), "{screen}");
    enter(&ann, "/unmute bob");
    ann.wait("all of it", |screen| screen.contains("│ buy this") && screen.contains("│ buy that"));
}

#[test]
fn everybody_can_be_listed() {
    let (ann, bob) = pair();
    bob.say("hello");
    ann.wait_text("hello");
    enter(&ann, "hello yourself");
    bob.wait_text("hello yourself");
    enter(&ann, "/who");
    let list = |screen: &Screen| screen.rows().iter().filter(|row| row.contains("│ ann")).count();
    ann.wait("the list", |screen| screen.contains("┌─") && list(screen) > 0);
    ann.key(Key::Enter);
    wait_gone(&ann, "┌─");
    let members = bob.ask("/who", "members");
    assert_eq!(members["members"].as_array().map(Vec::len), Some(2), "{members}");
    enter(&ann, "/nonsense");
    ann.wait_text("there is no command /nonsense");
}

#[test]
fn what_is_found_can_be_gone_to_in_any_room() {
    let machine = Machine::loopback();
    let launch = |rooms: &[&str]| rooms.iter().fold(machine.chat("ann"), |launch, room| launch.room(room));
    // Far above what is on the screen.
    let hay = (1..=300).map(|number| format!("line {number}."));
    write_down(launch(&["rust"]), std::iter::once("a needle in the hay".to_owned()).chain(hay));
    let ann = sit(launch(&["general"]), SIZE);
    enter(&ann, "a pin is no needle");
    ann.wait_text("│ a pin is no needle");
    // What was just written down may not be indexed yet, which is told.
    loop {
        enter(&ann, "/search needle");
        let screen = ann.wait("what is found", |screen| screen.contains("found") && typed(screen).is_empty());
        if screen.contains("a needle in the hay") && screen.contains("ann·") && screen.contains(" a pin is no needle")
        {
            break;
        }
        assert!(screen.contains("still being indexed"), "{screen}");
        ann.key(Key::Escape);
        wait_gone(&ann, "found");
    }
    ann.key(Key::Down);
    let on_hay = |screen: &Screen| {
        let (column, row) = screen.find("a needle in the hay")?;
        Some(screen.cell(column, row).bgcolor() != screen.cell(column, row - 1).bgcolor())
    };
    // Whichever of the two is listed first.
    if on_hay(&ann.screen()) != Some(true) {
        ann.key(Key::Up);
        ann.wait("it pointed at", |screen| on_hay(screen) == Some(true));
    }
    ann.key(Key::Enter);
    wait_room(&ann, "rust");
    ann.wait("it", |screen| screen.contains("│ a needle in the hay") && screen.contains("│ line 10."));
    enter(&ann, "/search nothing-like-that");
    ann.wait_text("nothing was found for nothing-like-that");
}

#[test]
fn help_lists_keys_and_commands() {
    let ann = sit(Machine::loopback().chat("ann").options(["--memory"]), SIZE);
    ann.key(Key::F(1));
    ann.wait("the keys", |screen| screen.contains("─ help ─") && screen.contains("Ctrl-U, Ctrl-Z"));
    ann.key(Key::PageDown);
    ann.wait("the commands", |screen| screen.contains("/search WORDS") && screen.contains("/quit"));
    ann.key(Key::Escape);
    wait_gone(&ann, "/search WORDS");
    // What is typed goes where it went before.
    enter(&ann, "thank you");
    ann.wait_text("│ thank you");
}

#[test]
fn lines_can_be_shown_bare_to_be_copied() {
    let (ann, bob) = pair();
    let link = format!("https://example.org/{}", "long/".repeat(20));
    bob.say(&link);
    ann.wait_text("https://example.org/");
    ann.key(Key::Alt('l'));
    // The terminal itself wraps it, so that a copy has it in one piece.
    let bare = ann.wait("the line alone", |screen| screen.contains(" bob: https://") && !screen.contains("│"));
    assert!(bare.rows().concat().contains(&link) && !bare.mouse(), "{bare}");
    ann.type_text("x");
    let screen = ann.wait("all the rest", |screen| screen.contains("│") && screen.mouse());
    assert!(screen.row(0).starts_with(" lobby"), "{screen}");
    let mark = bob.mark();
    enter(&ann, "I have it");
    bob.wait_from(mark, "what she says", PATIENCE, |event| is(event, "message") && event["text"] == "I have it");
}
