//! A room, and messages in it: the first thing the program can do, with nobody else there.
//!
//! In the Elixir original: `DistributedChat.broadcast_message("hello")`, `DistributedChat.get_messages()`.
//!
//! Run with `cargo run --example chat_room`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use anyhow::{Result, ensure};
use distchat_examples::start;

#[tokio::main]
async fn main() -> Result<()> {
    let alice = start("alice").await?;
    let room = alice.open_room(&"lobby".parse()?).await?;
    println!("alice is in room `{}`, alone", room.name());

    for text in ["hello", "is anybody here?"] {
        let message = room.broadcast(text).await?;
        println!("said {:?}: it is stored under {}", message.text, message.id.short());
    }

    println!("what the room holds:");
    let messages = room.messages(50).await?;
    for message in &messages {
        println!("  <{}> {}", message.nick, message.text);
    }
    let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    ensure!(texts == ["hello", "is anybody here?"], "the room does not hold what was said");
    ensure!(messages.iter().all(|message| message.nick == "alice"), "alice goes by her profile's name");
    alice.shutdown().await;
    Ok(())
}
