//! The options.

use std::path::PathBuf;

use clap::{Parser, builder::TypedValueParser};

/// Runs the real program on many hosts of a virtual LAN, lets them talk while everything breaks, and reports what became of
/// memory, latency, lag and messages.
///
/// It needs root, `ip` and `nft`, and `faketime` for wrong clocks. The profiles are in a temporary directory (TMPDIR), some
/// 600 bytes a message and host. It ends with 0 only if all that was asked of the hosts holds.
#[derive(Clone, Debug, Parser)]
#[command(name = "distchat-soak", max_term_width = 100)]
pub(crate) struct Args {
    /// How many hosts
    #[arg(long, default_value = "25", value_parser = clap::value_parser!(u64).range(2..=200).map(|hosts| hosts as usize))]
    pub(crate) hosts: usize,

    /// How many rooms, all of which every host has open
    #[arg(long, default_value = "4", value_parser = clap::value_parser!(u64).range(1..=100).map(|rooms| rooms as usize))]
    pub(crate) rooms: usize,

    /// How long things break, in minutes; at the end, what a message costs is measured on the quiet mesh
    #[arg(long, default_value = "60", value_parser = minutes)]
    pub(crate) minutes: f64,

    /// How many messages are to be said in all
    #[arg(long, default_value = "1000000")]
    pub(crate) messages: u64,

    /// What faults, speakers and lines are drawn from
    #[arg(long, default_value = "1")]
    pub(crate) seed: u64,

    /// How often something breaks, in seconds
    #[arg(long, default_value = "8", value_parser = seconds)]
    pub(crate) fault_every: f64,

    /// How often everything is measured, in seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub(crate) sample: f64,

    /// Where the report and the raw samples go
    #[arg(long, value_name = "DIR", default_value = "soak-report")]
    pub(crate) out: PathBuf,
}

fn minutes(text: &str) -> Result<f64, String> {
    within(text, 0.05, 24. * 60.)
}

fn seconds(text: &str) -> Result<f64, String> {
    within(text, 0.2, 3600.)
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("give a number from {least} to {most}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_checked() {
        let parse = |line: &str| Args::try_parse_from(line.split(' '));
        let args = parse("soak").unwrap();
        assert_eq!((args.hosts, args.minutes, args.messages), (25, 60., 1_000_000));
        for wrong in ["soak --hosts 1", "soak --minutes -1", "soak --minutes NaN", "soak --sample 0", "soak --rooms 0"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
