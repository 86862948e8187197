//! Options for the chat on a terminal: colours, the mouse, and how to be called.

use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use distchat_tests::{
    Chat, Color, Key, Launch, Machine, PATIENCE, Screen, Terminal,
    tame::{Allowed, assert_tame},
};

use crate::chat_screen::{SIZE, enter, sit, stop, wait_company, wait_typed};

/// The lightness of the bar's ground: its number among the 256 colours, of which the last are greys.
fn ground(screen: &Screen) -> u8 {
    match screen.cell(0, 0).bgcolor() {
        Color::Idx(grey) => grey,
        other => panic!("the bar's ground is {other:?}: {screen}"),
    }
}

fn alone(change: impl FnOnce(Launch) -> Launch) -> Terminal {
    sit(change(Machine::loopback().chat("ann").options(["--memory"])), SIZE)
}

#[test]
fn there_are_colours_for_a_light_ground_and_for_a_dark_one() {
    let light = alone(|launch| launch.options(["--theme", "light"]));
    let dark = alone(|launch| launch);
    // 232 is almost black, 255 almost white.
    assert!(ground(&light.screen()) >= 250, "{}", light.screen());
    assert!(ground(&dark.screen()) <= 238, "{}", dark.screen());
}

#[test]
fn the_mouse_can_be_left_to_the_terminal() {
    let mut ann = alone(|launch| launch.options(["--no-mouse"]));
    enter(&ann, "hello");
    assert!(!ann.wait_text("│ hello").mouse());
    stop(&mut ann);
    let raw = String::from_utf8_lossy(&ann.raw()).into_owned();
    for on in ["?1000h", "?1002h", "?1003h", "?1006h"] {
        assert!(!raw.contains(on), "{on}");
    }
}

/// Ann at a terminal and bob with a pipe, who knows her: until she has said something nobody can speak to her.
fn greeted(machine: &Machine, ann: Launch) -> (Terminal, Chat) {
    let ann = sit(ann, SIZE);
    let bob = machine.chat("bob").options(["--memory"]).start();
    wait_company(&ann);
    enter(&ann, "hello");
    bob.wait_text("hello");
    (ann, bob)
}

#[test]
fn the_bell_calls_whoever_is_spoken_to_and_does_not_look() {
    let machine = Machine::loopback();
    let launch = machine.chat("ann").options(["--memory", "--notify", "bell"]);
    let (mut ann, bob) = greeted(&machine, launch);
    let rings = |ann: &Terminal| ann.raw().iter().filter(|byte| **byte == 0x07).count();
    bob.say("ann: while you look");
    ann.wait_text("while you look");
    look_away(&ann);
    bob.say("nobody in particular");
    ann.wait_text("nobody in particular");
    assert_eq!(rings(&ann), 0);
    bob.say("ann: are you there?");
    // The bell comes with the frame that shows it.
    let screen = ann.wait_text("are you there?");
    assert_eq!(rings(&ann), 1);
    assert!(screen.contains("─ new ─"), "what came while she was away is below a line: {screen}");
    stop(&mut ann);
    assert_tame(&ann.raw(), &Allowed { bell: true, ..Allowed::default() });
}

#[test]
fn the_desktop_calls_whoever_is_spoken_to() {
    let machine = Machine::loopback();
    // In the place of the desktop's own program, which would want a desktop.
    let (programs, calls) = (machine.directory().join("programs"), machine.directory().join("calls"));
    fs::create_dir(&programs).unwrap();
    let program = programs.join("notify-send");
    // It is whole once it has its name.
    let script = format!("#!/bin/sh\nprintf '%s\\n' \"$@\" > '{0}.part' && mv '{0}.part' '{0}'\n", calls.display());
    // By another program: what this one has open for writing, a child that another test starts may have open, too, and
    // such a file cannot be run.
    let written = Command::new("sh").args(["-c", "printf %s \"$1\" > \"$2\"", "sh", &script]).arg(&program).status();
    assert!(written.unwrap().success());
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", programs.display(), env::var("PATH").unwrap());

    let launch = machine.chat("ann").env("PATH", &path).options(["--memory", "--notify", "desktop"]);
    let (ann, bob) = greeted(&machine, launch);
    look_away(&ann);
    // What looks like an option is none, nor is what looks like markup.
    bob.say("--ann: $(are) `you` <b>there</b>?");
    ann.wait_text("there");
    let told = wait_file(&calls);
    assert_eq!(told, "--app-name=distchat\n--\nbob in lobby\n--ann: $(are) `you` &lt;b&gt;there&lt;/b&gt;?\n");
}

#[test]
fn a_desktop_that_cannot_be_called_is_told_of() {
    let machine = Machine::loopback();
    let launch = machine.chat("ann").env("PATH", "/nowhere").options(["--memory", "--notify", "desktop"]);
    let (ann, bob) = greeted(&machine, launch);
    look_away(&ann);
    bob.say("ann: there?");
    ann.wait_text("no notification could be shown");
}

/// Turns to another window. That is noticed before what is typed blindly after it is shown.
fn look_away(terminal: &Terminal) {
    terminal.focus(false);
    terminal.type_text("x");
    wait_typed(terminal, "x");
    terminal.key(Key::Backspace);
    wait_typed(terminal, "");
}

/// What another program writes into a file that is not there yet.
fn wait_file(path: &Path) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        match fs::read_to_string(path) {
            Ok(text) => return text,
            Err(error) if Instant::now() > until => panic!("{}: {error}", path.display()),
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
