//! What the tests of the full-screen chat have in common. Each `chat_screen_*` has one subject; all of them are the real
//! program on a terminal of its own, with a person who waits for what they see.

use std::time::{SystemTime, UNIX_EPOCH};

use distchat_tests::{Chat, Key, Launch, Screen, Signal, Terminal};

pub(crate) const SIZE: (u16, u16) = (80, 24);

/// A person at a terminal, who sees the first room and what was said there.
pub(crate) fn sit(launch: Launch, size: (u16, u16)) -> Terminal {
    let terminal = Terminal::start(launch, size);
    terminal.wait("the first room", |screen| in_a_room(screen) && !screen.contains("…"));
    terminal
}

/// Whether a room is looked at, and the node knows how it is doing.
fn in_a_room(screen: &Screen) -> bool {
    screen.row(0).len() > 1 && (bar(screen).contains("alone") || bar(screen).contains("in sync"))
}

/// The line that says how everything is, while one row is being typed.
pub(crate) fn bar(screen: &Screen) -> String {
    screen.row(screen.size().1 - 2)
}

/// What is being typed, if it takes one row.
pub(crate) fn typed(screen: &Screen) -> String {
    screen.row(screen.size().1 - 1).trim_start_matches('›').trim().to_owned()
}

/// The rows between the bars.
pub(crate) fn transcript(screen: &Screen) -> Vec<String> {
    let rows = screen.rows();
    rows[1..rows.len() - 2].to_vec()
}

/// Types a line, and Enter.
pub(crate) fn enter(terminal: &Terminal, line: &str) {
    terminal.type_text(line);
    terminal.key(Key::Enter);
}

/// Waits until that is what is being typed.
pub(crate) fn wait_typed(terminal: &Terminal, line: &str) -> Screen {
    terminal.wait(&format!("{line:?} being typed"), |screen| typed(screen) == line)
}

/// Waits until that room is the one that is looked at.
pub(crate) fn wait_room(terminal: &Terminal, room: &str) -> Screen {
    terminal.wait(&format!("the room {room}"), |screen| screen.row(0).split_whitespace().next() == Some(room))
}

/// Waits until that cannot be read any more.
pub(crate) fn wait_gone(terminal: &Terminal, text: &str) -> Screen {
    terminal.wait(&format!("{text:?} gone"), |screen| !screen.contains(text))
}

/// Waits until somebody else is there and both hold the same.
pub(crate) fn wait_company(terminal: &Terminal) -> Screen {
    terminal.wait("somebody else", |screen| bar(screen).contains("1 peer · in sync"))
}

/// Ends the chat as it is, with what is being typed.
pub(crate) fn stop(terminal: &mut Terminal) {
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait_exit(), Some(0), "{}", terminal.screen());
    terminal.assert_restored();
}

/// Gives a profile a history: all of it is stored when this returns, and nobody else has it.
pub(crate) fn write_down(launch: Launch, lines: impl IntoIterator<Item = String>) {
    let input: String = lines.into_iter().map(|line| line + "\n").collect();
    let finished = launch.options(["--linger", "0"]).run(input.as_bytes());
    assert_eq!(finished.code, Some(0), "{:?}", finished.stderr);
}

/// Says something, stored when this returns; whatever is said elsewhere from then on is newer.
pub(crate) fn say_before_others(chat: &Chat, text: &str) {
    chat.say_and_wait(text);
    let millis = || SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_millis();
    let said = millis();
    while millis() == said {
        // Less than a millisecond.
        std::thread::yield_now();
    }
}
