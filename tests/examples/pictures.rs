//! The pictures of the README: a short scene, played by people at real terminals on real nodes, and drawn as their screens
//! show it.
//!
//! `cargo run --example pictures` writes them to `docs/`, or to the directory that is named. All of it is
//! on loopback and in a temporary directory, and everybody has a clock of their own (Debian: faketime), so that the
//! scene takes half an hour and a few seconds. Keys are made anew, and with them some colours and digits.

#![allow(clippy::print_stdout, reason = "it says what it writes")]

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use distchat_tests::{
    Key, Machine, Screen, Terminal,
    binary::workspace,
    clock,
    picture::{Palette, svg},
};

const WIDE: (u16, u16) = (100, 30);
const NARROW: (u16, u16) = (40, 15);
const ROOMS: [&str; 2] = ["open-day", "kitchen"];

/// Where the scene is played.
struct Stage {
    machine: Machine,
}

impl Stage {
    /// Somebody starts the chat at that time of the day, and has seen that it is there.
    fn enters(&self, who: &str, time: &str, size: (u16, u16), theme: &str) -> Terminal {
        let launch = ROOMS.iter().fold(self.machine.chat(who), |launch, room| launch.room(room));
        let launch = launch.options(["--theme", theme]).clock(&format!("@2026-05-08 {time}"));
        let terminal = Terminal::start(launch, size);
        terminal.wait("the room and the place to type", |screen| {
            let named = ROOMS.iter().any(|room| screen.row(0).starts_with(&format!(" {room}")));
            named && screen.before_cursor() == " " && !screen.contains("opening")
        });
        terminal
    }

    /// Everybody is there at that time.
    fn all(&self, time: &str) -> [Terminal; 3] {
        let all = ["nora", "emil", "priya"].map(|who| self.enters(who, time, WIDE, "dark"));
        for terminal in &all {
            terminal.wait("the others", settled);
        }
        all
    }
}

fn settled(screen: &Screen) -> bool {
    screen.contains("2 peers") && screen.contains("in sync")
}

/// Types a line, and waits until those have it on their screens who look at the same room.
fn says(who: &Terminal, line: &str, heard_by: &[&Terminal]) {
    who.type_text(line);
    who.key(Key::Enter);
    who.wait("an empty line", |screen| screen.before_cursor() == " ");
    let words: Vec<&str> = line.split(' ').filter(|word| !word.starts_with('/')).take(3).collect();
    for other in heard_by {
        other.wait_text(&words.join(" "));
    }
}

/// Looks at the room of that number in the list.
fn goes_to(who: &Terminal, number: usize) {
    who.key(Key::Alt(char::from(b'0' + number as u8)));
    let title = format!(" {}", ROOMS[number - 1]);
    who.wait("the other room", |screen| screen.row(0).starts_with(&title));
}

/// They leave at once, and what they said is on their disks.
fn leave<const N: usize>(all: [Terminal; N]) {
    for mut terminal in all {
        terminal.key(Key::Ctrl('c'));
        terminal.wait_exit();
    }
}

/// The scene, and what two of them see at its end.
fn play() -> [Screen; 2] {
    let stage = Stage { machine: Machine::loopback() };

    let [nora, emil, priya] = stage.all("08:57:00");
    says(&emil, "/topic Open day on Saturday: who does what", &[&nora, &priya]);
    says(&emil, "good morning! The banner has come back from the printer", &[&nora, &priya]);
    says(&priya, "is it the right way round this time?", &[&nora, &emil]);
    says(&emil, "/me holds it up to the window", &[]);
    nora.wait_text("holds it up");
    leave([nora, emil, priya]);

    let [nora, emil, priya] = stage.all("09:04:00");
    says(&nora, "it looks wonderful 🎉 Who can lend us a long table?", &[&emil, &priya]);
    says(&priya, "/reply I can, if somebody helps me to carry it", &[&nora]);
    says(&nora, "/react 👍", &[]);
    priya.wait_text("👍 1");
    emil.wait_text("I can, if somebody");
    says(&emil, "/react 👍", &[]);
    nora.wait_text("👍 2");
    for terminal in [&nora, &emil, &priya] {
        goes_to(terminal, 2);
    }
    says(&emil, "there is soup at noon, leek and potato", &[&nora, &priya]);
    says(&priya, "/react 🍲", &[]);
    emil.wait_text("🍲 1");
    says(&nora, "save me a bowl, please", &[&emil, &priya]);
    leave([nora, emil, priya]);

    // Nobody hears it before she is back.
    let priya = stage.enters("priya", "09:12:00", WIDE, "dark");
    goes_to(&priya, 1);
    says(&priya, "my tram stands still, begin without me", &[]);
    priya.wait_text("my tram stands still");
    leave([priya]);

    let nora = stage.enters("nora", "09:26:00", WIDE, "dark");
    let emil = stage.enters("emil", "09:26:00", NARROW, "light");
    for terminal in [&nora, &emil] {
        goes_to(terminal, 1);
        terminal.wait_text("I can, if somebody");
    }
    says(&nora, "the shed is open, the list of tools hangs at the door", &[]);
    emil.wait_text("the shed is open");
    let priya = stage.enters("priya", "09:26:30", WIDE, "dark");
    goes_to(&priya, 1);
    nora.wait_text("my tram stands still");
    nora.wait_text("late)");

    nora.focus(false);
    says(&priya, "here at last! Nora, shall I begin with the chairs?", &[&nora]);
    goes_to(&emil, 2);
    goes_to(&priya, 2);
    says(&priya, "is there anything without leek?", &[&emil]);
    says(&emil, "bread 🍞 and there is a cake, but do not tell Nora", &[&priya]);
    goes_to(&priya, 1);
    says(&priya, "the ladder is not in the shed, by the way: I had it at home and forgot to bring it", &[&nora]);
    nora.type_text("yes please, and then");
    let nora = nora.wait("the end of the scene", |screen| {
        let counted = screen.contains("kitchen 2@1") && screen.contains("yes please, and then");
        // Who is there is looked up once a second.
        let here = screen.rows().iter().filter(|row| row.contains('●')).count();
        settled(screen) && counted && here == 3
    });
    let emil = emil.wait("the end of the scene", |screen| settled(screen) && screen.contains("open-day 1"));
    [nora, emil]
}

fn write(directory: &Path, name: &str, screen: &Screen, palette: &Palette) -> io::Result<()> {
    let path = directory.join(name);
    fs::write(&path, svg(screen, "distchat", palette))?;
    println!("{}:\n{screen}", path.display());
    Ok(())
}

fn main() -> io::Result<()> {
    clock::available().map_err(io::Error::other)?;
    let directory = std::env::args_os().nth(1).map_or_else(|| workspace().join("docs"), PathBuf::from);
    fs::create_dir_all(&directory)?;
    let [dark, light] = play();
    write(&directory, "chat-dark.svg", &dark, &Palette::DARK)?;
    write(&directory, "chat-narrow.svg", &light, &Palette::LIGHT)
}
