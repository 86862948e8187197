//! `distchat search`: finding messages in all rooms.

use clap::Args;

use super::Desk;
use crate::cli::Failure;
use crate::cli::report::Report;

/// Find messages in all rooms.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Words that all occur in the message; of the last one the beginning is enough
    #[arg(required = true)]
    words: Vec<String>,

    /// So many at most, the newest of them
    #[arg(short = 'n', value_name = "N", default_value_t = 50)]
    newest: usize,
}

impl Search {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        let found = desk.client.search(&self.words.join(" "), self.newest).await?;
        let nothing = found.hits.is_empty();
        desk.say(&Report::Found(found)).await?;
        if nothing { Err(Failure::nothing()) } else { Ok(()) }
    }
}
