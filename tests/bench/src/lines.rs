//! What people say in a chat: who, and how much.

use std::{fs, path::Path};

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Where to read real lines: a file or a directory of files with lines like `[09:14] <nick> text`.
pub const CHAT_LOGS: &str = "DISTCHAT_CHAT_LOGS";

/// Lengths in bytes of 125,771 lines of the channel #ubuntu, 2004 to 2018, at every twentieth of them.
const LENGTHS: [f64; 21] = [
    1.0, 4.0, 9.0, 13.0, 17.0, 21.0, 26.0, 30.0, 34.0, 38.0, 42.0, 47.0, 53.0, 59.0, 66.0, 75.0, 86.0, 101.0, 122.0,
    163.0, 469.0,
];
/// How many people talk at a time: as many as wrote in an average one of those logs.
const SPEAKERS: usize = 131;
/// How often somebody speaks twice in a row.
const AGAIN: f64 = 0.136;

/// One line of a chat.
#[derive(Clone, Debug)]
pub struct Line {
    /// Who: a small number.
    pub speaker: usize,
    /// What.
    pub text: String,
}

/// So many lines: real ones if [`CHAT_LOGS`] says where they are (from the start again if there are fewer), else lines
/// of random letters with the same lengths and a like number of speakers.
pub fn lines(count: usize) -> Vec<Line> {
    let real = std::env::var_os(CHAT_LOGS).map(|logs| read(Path::new(&logs))).unwrap_or_default();
    if real.is_empty() {
        println!("lines: made up, with the lengths of real ones; set {CHAT_LOGS} for real ones");
        return made_up(count);
    }
    println!("lines: {} real ones", real.len());
    real.iter().cycle().take(count).cloned().collect()
}

fn read(path: &Path) -> Vec<Line> {
    let mut files = if path.is_dir() {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    } else {
        vec![path.to_owned()]
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    let mut speakers: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    for text in files.iter().filter_map(|file| fs::read(file).ok()) {
        // Who spoke in one log is not there years later: a number stands for one speaker at a time.
        speakers.clear();
        for line in String::from_utf8_lossy(&text).lines() {
            let said = line.split_once("] <").and_then(|(_, said)| said.split_once("> "));
            let Some((nick, text)) = said else { continue };
            let speaker = speakers.iter().position(|known| known == nick).unwrap_or_else(|| {
                speakers.push(nick.to_owned());
                speakers.len() - 1
            });
            lines.push(Line { speaker, text: text.to_owned() });
        }
    }
    lines
}

fn made_up(count: usize) -> Vec<Line> {
    let mut rng = StdRng::seed_from_u64(4);
    let mut speaker = 0;
    (0..count)
        .map(|_| {
            if !rng.random_bool(AGAIN) {
                // Few say much and many little: by Zipf's law, the n-th of them speaks 1/n as often.
                let rank = (SPEAKERS as f64).powf(rng.random::<f64>());
                speaker = rank as usize - 1;
            }
            let place = rng.random::<f64>() * (LENGTHS.len() - 1) as f64;
            let (low, high) = (LENGTHS[place as usize], LENGTHS[(place as usize + 1).min(LENGTHS.len() - 1)]);
            let length = (low + (high - low) * place.fract()) as usize;
            let text = (0..length).map(|_| char::from(b"etaoin shrdlu"[rng.random_range(0..13)])).collect();
            Line { speaker, text }
        })
        .collect()
}
