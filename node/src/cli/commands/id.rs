//! `distchat id`: who one is.

use super::Desk;
use crate::cli::Failure;
use crate::cli::report::Report;

pub(super) async fn run(desk: &mut Desk) -> Result<(), Failure> {
    let client = &desk.client;
    let report = Report::Id {
        author: client.author(),
        profile: client.profile().to_owned(),
        directory: client.directory().map(ToOwned::to_owned),
        process: client.attached_to(),
    };
    desk.say(&report).await
}
