//! `distchat daemon`: a node for others to use.

use super::Desk;
use crate::attach::Told;
use crate::cli::Failure;
use crate::cli::report::Report;
use crate::cli::session;
use distchat_node::Event;

/// Runs until it is told to end. It says little: that it runs, and what a person should know.
pub(super) async fn run(desk: &mut Desk) -> Result<(), Failure> {
    let mut events = desk.client.events().await;
    let outcome = session::open(desk.client.clone(), desk.args.rooms.clone()).await;
    desk.say(&Report::Ready {
        author: desk.client.author(),
        peer_id: desk.client.peer_id(),
        name: desk.client.profile().to_owned(),
        listen: desk.client.listeners(),
    })
    .await?;
    for report in &outcome.reports {
        desk.say(report).await?;
    }
    if let Some(failure) = outcome.failure {
        return Err(Failure::unexpected(failure));
    }
    while let Some(told) = events.next().await {
        let worth_telling = matches!(
            &told,
            Told::Event(Event::Room { .. } | Event::ClockOff { .. } | Event::Forked { .. } | Event::Warning { .. })
        );
        if let Told::Event(event) = told
            && worth_telling
        {
            desk.say(&Report::Event(event)).await?;
        }
    }
    Ok(())
}
