//! Programs killed at random moments, while they start and under load: nothing acknowledged is lost, every start finds a
//! history in order, and all hold the same in the end.

use std::{thread, time::Duration};

use distchat_tests::{
    Chat, Machine, PATIENCE,
    converge::{converged, reported},
};

/// How many lines are written between two kills.
const LINES: usize = 20;
/// How long after a start a kill comes at the latest: some before the store is open, some long after.
const LATEST: Duration = Duration::from_millis(400);

/// Numbers that look random and come again with the same seed, which is printed if the test fails.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let given = std::env::var("DISTCHAT_SEED").ok().map(|seed| seed.parse().expect("DISTCHAT_SEED is a number"));
        let seed = given.unwrap_or_else(|| {
            u64::from(std::process::id()) << 32 | u64::from(std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos())
        });
        Self { seed, state: seed }
    }

    /// A number below that.
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("DISTCHAT_SEED={}\n", self.seed));
        }
    }
}

fn killed(times: usize, look_every: usize) {
    let machine = Machine::loopback();
    let mut random = Random::new();
    let mut chats = ["ann", "bob"].map(|name| machine.chat(name).start());
    for kill in 1..=times {
        let victim = random.below(2) as usize;
        for (writer, chat) in chats.iter().enumerate() {
            for line in 0..LINES {
                chat.say(&format!("{writer} before kill {kill}, line {line}"));
            }
        }
        thread::sleep(Duration::from_micros(random.below(LATEST.as_micros() as u64)));
        let complaint = chats[victim].stderr().into_iter().find(|line| line.starts_with("distchat: "));
        assert_eq!(complaint, None, "it ended by itself before kill {kill}");
        chats[victim].begin_again();
        if kill % look_every == 0 {
            look(&chats);
        }
    }
    look(&chats);
    for mut chat in chats {
        chat.stop();
        let judged = chat.launch().clone().options(["verify"]).run(b"");
        assert_eq!(judged.code, Some(0), "{judged:?}");
    }
}

/// Everything that either has ever reported as stored is there, with both.
fn look(chats: &[Chat; 2]) {
    for chat in chats {
        chat.ready("author");
    }
    converged(&chats.each_ref(), &reported(chats), 2 * PATIENCE);
}

#[test]
fn at_thirty_random_moments_nothing_acknowledged_is_lost() {
    killed(30, 10);
}

#[test]
#[ignore = "takes ten minutes"]
fn at_a_thousand_random_moments_nothing_acknowledged_is_lost() {
    killed(1_000, 100);
}
