//! Figures side by side.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A way of doing something, with its name.
pub type Way<'a> = (&'a str, &'a mut dyn FnMut() -> Duration);

/// Does the same several ways in turn, so that what else the machine does hits all alike, and prints the median of each
/// as items a second of processor time, with its ratio to the last.
pub fn side_by_side(title: &str, items: usize, rounds: usize, ways: &mut [Way<'_>]) {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for ((_, run), times) in ways.iter_mut().zip(&mut times) {
            times.push(run());
        }
    }
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times).as_secs_f64()).collect();
    let last = medians.last().copied().unwrap_or(f64::NAN);
    println!("{title}: medians of {rounds} rounds in turn");
    for ((name, _), median) in ways.iter().zip(medians) {
        println!("  {name:<44} {:>12}/s   {:>5.2} of the last", thousands(items as f64 / median), last / median);
    }
}

/// The processor time that something takes on this thread: what others do meanwhile does not count.
pub fn time<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let start = now();
    let result = run();
    (now().saturating_sub(start), result)
}

/// The middle one.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A number that people can read.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
