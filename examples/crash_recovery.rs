//! A room's task crashes, its supervisor starts it again, and nothing is lost.
//!
//! In the Elixir original: `Process.exit(pid, :kill)`, and the supervisor starts an empty `ChatServer`. Here the new task
//! rebuilds from the store, the handle stays valid, and a task that keeps crashing is left down until somebody looks.
//!
//! Run with `cargo run --example crash_recovery`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Result, ensure};
use distchat_examples::{start, wait};
use distchat_node::{Event, RoomError, RoomState};

#[tokio::main]
async fn main() -> Result<()> {
    // The crashes are wanted: one line each instead of a backtrace.
    std::panic::set_hook(Box::new(|panic| println!("  panic: {}", panic.payload_as_str().unwrap_or("?"))));

    let alice = start("alice").await?;
    let mut events = alice.events();
    let room = alice.open_room(&"general".parse()?).await?;
    let other = alice.open_room(&"other".parse()?).await?;
    room.broadcast("before the crash").await?;
    other.broadcast("in another room").await?;

    for crash in 1..=5 {
        room.crash().await?;
        wait(&mut events, |event| is(event, RoomState::Restarted)).await?;
        // The same handle, no reconnecting.
        room.broadcast(&format!("after crash {crash}")).await?;
        println!("crash {crash}: restarted, {} messages there", room.messages(50).await?.len());
    }
    let texts: Vec<String> = room.messages(50).await?.into_iter().map(|message| message.text).collect();
    ensure!(texts.len() == 6 && texts[0] == "before the crash", "a message was lost: {texts:?}");

    room.crash().await?;
    wait(&mut events, |event| is(event, RoomState::Failed)).await?;
    let refused = room.broadcast("anybody?").await;
    println!("crash 6 within a minute: {}", refused.as_ref().err().map_or_else(String::new, ToString::to_string));
    ensure!(matches!(refused, Err(RoomError::Failed(_))), "a failed room says so");
    ensure!(other.broadcast("still here").await.is_ok(), "the other room does not notice");

    room.restart().await?;
    wait(&mut events, |event| is(event, RoomState::Restarted)).await?;
    room.broadcast("started by hand").await?;
    let count = room.messages(50).await?.len();
    println!("restarted by hand: {count} messages there");
    ensure!(count == 7, "a message was lost");
    alice.shutdown().await;
    Ok(())
}

fn is(event: &Event, expected: RoomState) -> bool {
    matches!(event, Event::Room { room, state, .. } if room.as_str() == "general" && *state == expected)
}
