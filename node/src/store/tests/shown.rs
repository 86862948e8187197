//! What people are shown besides texts, and what is known of how it came.

use distchat_crdt::{Content, kind};

use super::*;

const ANY_TIME: Timestamp = Timestamp(u64::MAX);

fn said(author: u8, seq: u64, time: u64, content: Content<'_>) -> Message {
    message(author, seq, time, content.kind(), &content.body())
}

async fn store() -> (Store, RoomNo) {
    let store = Store::open(None).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    (store, room)
}

#[tokio::test]
async fn an_authors_last_reaction_holds() {
    let (store, room) = store().await;
    let target = said(0, 0, 10, Content::Text("hello"));
    let other = said(0, 1, 11, Content::Text("bye"));
    let (to, about) = (target.key(), other.key());
    let react = |author, seq, time, emoji| said(author, seq, time, Content::Reaction { to, emoji });
    let first = react(1, 0, 20, "a");
    let by_three = react(3, 0, 40, "d");
    let mut messages = vec![target, other, first, react(2, 0, 21, "b"), by_three.clone(), react(2, 1, 30, "")];
    let elsewhere = said(1, 2, 41, Content::Reaction { to: about, emoji: "e" });
    messages.extend([elsewhere.clone(), message(4, 0, 42, kind::REACTION, &[&to.to_bytes()[..], b"\xff"].concat())]);
    // In no order.
    messages.push(react(1, 1, 25, "c"));
    let by_one = messages.last().unwrap().clone();
    save(&store, room, messages).await.unwrap();

    let of = |message: &Message, emoji: &str| Reaction {
        key: message.key(),
        author: message.author(),
        to,
        emoji: emoji.to_owned(),
    };
    assert_eq!(store.reactions(room, vec![to], ANY_TIME).await.unwrap(), [of(&by_one, "c"), of(&by_three, "d")]);
    let both = store.reactions(room, vec![about, Key::MIN, to], ANY_TIME).await.unwrap();
    assert_eq!(both.iter().map(|reaction| reaction.emoji.as_str()).collect::<Vec<_>>(), ["e", "c", "d"]);
    // What is dated in the future holds from then on.
    let then = store.reactions(room, vec![to], Timestamp(24)).await.unwrap();
    assert_eq!(then.iter().map(|reaction| reaction.emoji.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn of_what_is_short_as_a_rule_no_more_is_read() {
    let (store, room) = store().await;
    let target = said(0, 0, 10, Content::Text("hello"));
    let long = "👍".repeat(4000);
    let react = said(1, 0, 20, Content::Reaction { to: target.key(), emoji: &long });
    let named = said(2, 0, 21, Content::Nick(&long));
    save(&store, room, vec![target.clone(), react, named]).await.unwrap();
    let reactions = store.reactions(room, vec![target.key()], ANY_TIME).await.unwrap();
    assert_eq!(reactions.iter().map(|reaction| reaction.emoji.as_str()).collect::<Vec<_>>(), [&long[..256]]);
    let nicks = store.nicks(room).await.unwrap();
    assert_eq!(nicks.iter().map(|(.., nick)| &nick[..]).collect::<Vec<_>>(), [&long.as_bytes()[..512]]);
}

#[tokio::test]
async fn the_last_topic_holds() {
    let (store, room) = store().await;
    assert_eq!(store.topic(room, ANY_TIME).await.unwrap(), None);
    let topics: Vec<Message> =
        (0..3).map(|n| said(0, n, 10 + 10 * n, Content::Topic(["birds", "whales", "bees"][n as usize]))).collect();
    save(&store, room, topics.clone()).await.unwrap();
    save(&store, room, vec![message(0, 3, 90, kind::TOPIC, b"\xff")]).await.unwrap();
    for (horizon, at) in [(ANY_TIME, 2), (Timestamp(29), 1), (Timestamp(10), 0)] {
        let topic = store.topic(room, horizon).await.unwrap().unwrap();
        assert_eq!((topic.key, topic.author), (topics[at].key(), topics[at].author()));
        assert_eq!(topic.text, ["birds", "whales", "bees"][at]);
    }
    assert_eq!(store.topic(room, Timestamp(9)).await.unwrap(), None);
}

#[tokio::test]
async fn what_came_late_is_remembered() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    let store = Store::open(Some(&path)).unwrap();
    let room = store.room(&name("general")).await.unwrap();
    let messages: Vec<Message> = (0..4).map(|n| said(0, n, 10 + n, Content::Text("x"))).collect();
    let own = keypair(9).author();
    for (range, frontier) in [
        (2..3, FRONTIER),
        (0..1, Frontier { key: messages[2].key(), unfinished: true }),
        (1..2, Frontier { key: messages[1].key(), unfinished: true }),
    ] {
        let (sender, done) = oneshot::channel();
        let commit = Arc::new(commit_of(messages[range].to_vec()));
        let done_fn = Box::new(move |result| drop(sender.send(result)));
        store.submit(CommitJob { room, own, commit, arrived_ms: 7, frontier, done: done_fn }).await.unwrap();
        done.await.unwrap().unwrap();
    }
    store.close().await;

    let store = Store::open(Some(&path)).unwrap();
    let late: Vec<bool> = store.lines(room, Lines::Newest(9)).await.unwrap().iter().map(|line| line.late).collect();
    assert_eq!(late, [true, false, false]);
    assert_eq!(store.load(room, own).await.unwrap().frontier, Some(messages[1].key()));
    save(&store, room, vec![messages[3].clone()]).await.unwrap();
    assert_eq!(store.load(room, own).await.unwrap().frontier, None);
    store.close().await;
}
