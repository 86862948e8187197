//! `distchat search`: finding messages in all rooms.

use clap::Args;

use super::Desk;
use crate::attach::MAX_FOUND;
use crate::cli::Failure;
use crate::cli::report::Report;

/// Find messages in all rooms.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Search {
    /// Words that all occur in the message; of the last one the beginning is enough
    #[arg(required = true)]
    words: Vec<String>,

    /// So many at most, the newest of them; more than 1000 are never given
    #[arg(short = 'n', value_name = "N", default_value_t = 50)]
    newest: usize,
}

impl Search {
    pub(super) async fn run(&self, desk: &mut Desk) -> Result<(), Failure> {
        let found = desk.client.search(&self.words.join(" "), self.newest).await?;
        let nothing = found.hits.is_empty();
        let cut = self.newest > MAX_FOUND && found.hits.len() == MAX_FOUND;
        desk.say(&Report::Found(found)).await?;
        if cut {
            let message = format!(
                "these are the newest {MAX_FOUND}, and more are never given: if there are others, more words find them"
            );
            desk.say(&Report::Notice(message)).await?;
        }
        if nothing { Err(Failure::nothing()) } else { Ok(()) }
    }
}
