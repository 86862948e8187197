//! A history of which a screen shows little.

use distchat_tests::{Key, Machine, Modifier, Screen};

use crate::chat_screen::{SIZE, sit, transcript, write_down};

const LINES: usize = 10_000;

/// The numbers of the lines on the screen.
fn numbers(screen: &Screen) -> Vec<usize> {
    let number = |row: &String| row.split_once("│ line ")?.1.trim_end_matches('.').parse().ok();
    transcript(screen).iter().filter_map(number).collect()
}

/// Whether these are all the lines from that one on, as many as fit.
fn full(numbers: &[usize]) -> bool {
    numbers.len() > 15 && numbers.windows(2).all(|pair| pair[0] + 1 == pair[1])
}

#[test]
fn one_can_go_to_its_start_and_read_on_from_there() {
    let launch = Machine::loopback().chat("ann");
    write_down(launch.clone(), (1..=LINES).map(|number| format!("line {number}.")));
    let ann = sit(launch, SIZE);
    let newest = |screen: &Screen| full(&numbers(screen)) && numbers(screen).last() == Some(&LINES);
    ann.wait("the newest lines", newest);

    ann.key(Key::With(Modifier::Ctrl, &Key::Home));
    let mut page = ann.wait("the first lines", |screen| full(&numbers(screen)) && numbers(screen)[0] == 1);
    for _ in 0..30 {
        let before = numbers(&page);
        ann.key(Key::PageDown);
        page = ann.wait("the next page", |screen| full(&numbers(screen)) && numbers(screen) != before);
        let now = numbers(&page);
        // Nothing is left out, and a page is more than a row.
        assert!(now[0] > before[5] && now[0] <= before[before.len() - 1] + 1, "{before:?}, then {now:?}");
    }

    ann.key(Key::With(Modifier::Ctrl, &Key::End));
    ann.wait("the newest lines", newest);
}
