//! Peers whose clocks stand in 1970 and 2100, one, two and three of them, around two whose clocks are right.
//!
//! The two have talked before. What is demanded is what PROTOCOL.md, section 5, promises: up to two do nothing to them. Three
//! outvote them for as long as they stay: that is told to the users, everything flows and is kept, and it passes.

use distchat_tests::{
    Chat, Launch, Machine, Message, PATIENCE,
    converge::{converged, reported},
    skip,
};

use crate::common::texts;

const LONG_AGO: &str = "@1970-01-03 00:00:00";
const FAR_AHEAD: &str = "@2100-01-01 00:00:00";

/// Ann and bob, who have said something to each other, and peers with these clocks, who have met them both.
struct Company {
    honest: [Chat; 2],
    liars: Vec<Chat>,
    before: Vec<String>,
}

impl Company {
    fn of(clocks: &[&str]) -> Self {
        let machine = Machine::loopback();
        let start = |name: &str, change: &dyn Fn(Launch) -> Launch| change(machine.chat(name).room("general")).start();
        let honest = ["ann", "bob"].map(|name| start(name, &|launch| launch));
        honest[0].wait_peers(1);
        let before = converse(&honest.each_ref(), "before");
        let liars: Vec<_> = clocks
            .iter()
            .enumerate()
            .map(|(n, clock)| start(&format!("liar{n}"), &|launch| launch.clock(clock)))
            .collect();
        let company = Self { honest, liars, before };
        for chat in &company.honest {
            wait_clocks(chat, clocks.len() + 1);
        }
        for liar in &company.liars {
            liar.wait_text(company.before.last().unwrap());
        }
        company
    }

    fn all(&self) -> Vec<&Chat> {
        self.honest.iter().chain(&self.liars).collect()
    }

    /// What all hold in the end.
    fn history(&self) -> Vec<Message> {
        converged(&self.all(), &reported(self.all()), PATIENCE)
    }
}

/// The chats take turns; each speaks when it sees what the one before has said.
fn converse(chats: &[&Chat], topic: &str) -> Vec<String> {
    let lines: Vec<_> = (0..6).map(|turn| format!("{topic} {turn}")).collect();
    for (turn, line) in lines.iter().enumerate() {
        if let Some(before) = turn.checked_sub(1) {
            chats[turn % chats.len()].wait_text(&lines[before]);
        }
        chats[turn % chats.len()].say_and_wait(line);
    }
    lines
}

/// Waits until it knows the clocks of that many peers.
fn wait_clocks(chat: &Chat, count: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let answer = chat.ask("/peers", "peers");
        let known = answer["peers"].as_array().unwrap().iter().filter(|peer| peer["clock_offset_ms"].is_i64()).count();
        if known >= count {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "it knows {known} clocks of {count}: {}", chat.report());
        chat.pause(chat.mark(), std::time::Duration::from_millis(100));
    }
}

/// The year of a message's time.
fn year(message: &Message) -> &str {
    message.time.split('-').next().unwrap()
}

#[test]
fn one_or_two_do_nothing_to_two_who_are_right() {
    if !skip::clocks_or_skip() {
        return;
    }
    for clocks in
        [&[LONG_AGO][..], &[FAR_AHEAD], &[LONG_AGO, LONG_AGO], &[FAR_AHEAD, FAR_AHEAD], &[LONG_AGO, FAR_AHEAD]]
    {
        let company = Company::of(clocks);
        for liar in &company.liars {
            liar.say_and_wait("what I say is kept, too");
        }
        let lines = converse(&company.honest.each_ref(), "among liars");
        let history = company.history();
        let said: Vec<_> = history.iter().filter(|message| message.text != "what I say is kept, too").collect();
        assert_eq!(history.len() - said.len(), clocks.len(), "{clocks:?}");
        let in_order: Vec<_> = said.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(
            in_order,
            [&company.before[..], &lines[..]].concat(),
            "{clocks:?}: in the order in which they were said"
        );
        for message in said {
            assert_eq!(year(message), year(&history_of_before(&company)), "{clocks:?}: {message:?}");
            assert!(!message.future, "{clocks:?}: {message:?}");
        }
    }
}

/// A message that was said before there were any liars.
fn history_of_before(company: &Company) -> Message {
    company.honest[0].wait_text(&company.before[0])
}

#[test]
fn three_outvote_two_for_as_long_as_they_stay_and_nothing_is_lost() {
    if !skip::clocks_or_skip() {
        return;
    }
    for clock in [LONG_AGO, FAR_AHEAD] {
        let mut company = Company::of(&[clock; 3]);
        for chat in &company.honest {
            chat.wait_told("clock", PATIENCE);
        }
        let lines = converse(&company.honest.each_ref(), "outvoted");
        let history = company.history();
        for line in company.before.iter().chain(&lines) {
            assert!(texts(&history).contains(&line.as_str()), "{clock}: {line} is lost");
        }
        company.liars.clear();
        for chat in &company.honest {
            wait_alone(chat);
        }
        let after = converse(&company.honest.each_ref(), "afterwards");
        let history = company.history();
        let of_after: Vec<_> = history.iter().filter(|message| message.text.starts_with("afterwards")).collect();
        assert_eq!(of_after.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), after);
        for message in &of_after {
            assert_eq!(year(message), year(&history_of_before(&company)), "{clock}: {message:?}");
            assert!(!message.future, "{clock}: {message:?}");
        }
        assert_eq!(history.len(), 18, "{clock}: all is kept");
        // What it costs them: what they said in that time is no part of what they say in this one.
        for chat in &company.honest {
            chat.wait_told("from two places", PATIENCE);
        }
    }
}

/// Waits until only one peer is left.
fn wait_alone(chat: &Chat) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while chat.ask("/peers", "peers")["peers"].as_array().unwrap().len() > 1 {
        assert!(std::time::Instant::now() < deadline, "they are still there: {}", chat.report());
        chat.pause(chat.mark(), std::time::Duration::from_millis(100));
    }
}
