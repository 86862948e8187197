//! `distchat verify`: judging every byte of the histories anew.

use super::Desk;
use super::progress::Progress;
use crate::attach::Step;
use crate::cli::Failure;
use crate::cli::report::Report;

pub(super) async fn run(desk: &mut Desk) -> Result<(), Failure> {
    let (mut fine, mut progress) = (true, None);
    while let Some(step) = desk.client.verify_step().await? {
        match step {
            Step::Store { problems } => {
                fine &= problems.is_empty();
                desk.mention(&Report::Damaged { problems }).await?;
            }
            Step::Progress { room, done, of } => {
                progress.get_or_insert_with(|| Progress::new(room.as_str(), of)).set(done, of);
            }
            Step::Room(judged) => {
                progress = None;
                fine &= judged.problems.is_empty();
                desk.mention(&Report::Judged(judged)).await?;
            }
        }
    }
    if fine { Ok(()) } else { Err(Failure::damaged()) }
}
