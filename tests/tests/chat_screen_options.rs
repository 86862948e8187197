//! Options for the chat on a terminal: colours, the mouse, and how to be called.

use distchat_tests::{
    Color, Launch, Machine, Screen, Terminal,
    tame::{Allowed, assert_tame},
};

use crate::chat_screen::{SIZE, enter, sit, stop, wait_company};

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

#[test]
fn the_bell_calls_whoever_is_spoken_to_and_does_not_look() {
    let machine = Machine::loopback();
    let mut ann = sit(machine.chat("ann").options(["--memory", "--notify", "bell"]), SIZE);
    let bob = machine.chat("bob").options(["--memory"]).start();
    wait_company(&ann);
    enter(&ann, "hello");
    bob.wait_text("hello");
    let rings = |ann: &Terminal| ann.raw().iter().filter(|byte| **byte == 0x07).count();
    bob.say("ann: while you look");
    ann.wait_text("while you look");
    ann.focus(false);
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
