//! Words are found where they were said.

use distchat_crdt::{Content, kind};
use proptest::prelude::*;

use super::*;
use crate::{search::Indexing, store::search::StoredHit};

pub(super) fn said(author: u8, time: u64, content: Content<'_>) -> Message {
    message(author, 0, time, content.kind(), &content.body())
}

pub(super) fn text(author: u8, time: u64, text: &str) -> Message {
    said(author, time, Content::Text(text))
}

pub(super) async fn find(store: &Store, words: &str, limit: usize) -> Found {
    store.find(Question::parse(words).unwrap(), limit).await.unwrap()
}

/// The bodies of what is found, and the rooms.
pub(super) async fn lines(store: &Store, words: &str) -> Vec<String> {
    let found = find(store, words, 100).await;
    let line = |hit: &StoredHit| format!("{} {}", hit.room, String::from_utf8_lossy(&hit.message.body));
    found.hits.iter().map(line).collect()
}

/// Has everything taken in.
pub(super) async fn complete(store: &Store) {
    while find(store, "x", 0).await.indexing.is_some() {
        store.indexer().steps(1).await;
    }
}

#[tokio::test]
async fn the_newest_are_found_first_over_all_rooms() {
    let temp = tempfile::tempdir().unwrap();
    for path in [None, Some(temp.path().join("h"))] {
        let store = Store::open_waiting(path.as_deref());
        let (one, two) = (store.room(&name("one")).await.unwrap(), store.room(&name("two")).await.unwrap());
        save(&store, one, vec![text(0, 10, "whale a"), text(1, 30, "whale c"), text(1, 50, "a bee")]).await.unwrap();
        save(&store, two, vec![text(0, 40, "a whale d"), text(1, 20, "whale b")]).await.unwrap();
        assert_eq!(lines(&store, "whale").await, ["two a whale d", "one whale c", "two whale b", "one whale a"]);
        assert_eq!(lines(&store, "a whale").await, ["two a whale d", "one whale a"]);
        assert_eq!(lines(&store, "whale bee").await, [""; 0]);
        let found = find(&store, "whale", 2).await;
        assert_eq!(found.hits.iter().map(|hit| hit.message.key.time.0).collect::<Vec<_>>(), [40, 30]);
        assert_eq!(found.indexing, None);
        assert_eq!(find(&store, "whale", 0).await.hits, []);
        assert_eq!(find(&store, "whale", usize::MAX).await.hits.len(), 4);
        store.close().await;
    }
}

#[tokio::test]
async fn letters_and_digits_count_and_the_last_word_may_go_on() {
    let store = Store::open_waiting(None);
    let room = store.room(&name("r")).await.unwrap();
    let line = "Zoë's CAFÉ: don't pay 42€ for k7-mplayer, \"ok\"?";
    save(&store, room, vec![text(0, 10, line)]).await.unwrap();
    for words in [
        "zoe",
        "Zoe\u{308}",
        "café",
        "CAFE\u{301}",
        "cafe pa",
        "don't",
        "k7-mplay",
        "k7 mplayer",
        "42",
        "42 €",
        "\"ok\"",
        "ok",
        "pay zoë",
        "(pay",
        "pay* -zoe",
        "text:",
        "pay \0 zoe",
        "for ^ NEAR",
        "O",
    ] {
        let expect = if words.contains("text") || words.contains("NEAR") { 0 } else { 1 };
        assert_eq!(find(&store, words, 9).await.hits.len(), expect, "{words}");
    }
    for words in
        ["afé", "don t's", "caf zoe", "t'don", "mplayer-k7", "pay -zoes", "zoe AND", "NOT zoe", "nothing OR zoe"]
    {
        assert_eq!(find(&store, words, 9).await.hits.len(), 0, "{words}");
    }
    store.close().await;
}

#[tokio::test]
async fn what_people_say_is_found_and_nothing_else() {
    let store = Store::open_waiting(None);
    let room = store.room(&name("r")).await.unwrap();
    let to =
        Key { time: Timestamp(u64::from_be_bytes(*b"\0word wo")), id: MessageId(*b"word word word word word word wo") };
    let messages = vec![
        said(0, 10, Content::Text("a word")),
        said(0, 11, Content::Action("says a word")),
        said(0, 12, Content::Reply { to, text: "one more" }),
        said(0, 13, Content::Reply { to, text: "a word more" }),
        said(0, 14, Content::Nick("word")),
        said(0, 15, Content::Reaction { to, emoji: "word" }),
        said(0, 16, Content::Topic("word")),
        message(0, 0, 17, 77, b"word"),
        message(0, 0, 18, kind::TEXT, b"word \xff"),
        message(0, 0, 19, kind::REPLY, b"word"),
        said(0, 20, Content::Text("")),
    ];
    save(&store, room, messages).await.unwrap();
    let found = find(&store, "word", 99).await;
    let times: Vec<u64> = found.hits.iter().map(|hit| hit.message.key.time.0).collect();
    assert_eq!(times, [13, 11, 10]);
    // What says nothing was looked at all the same.
    assert_eq!(found.indexing, None);
    store.close().await;
}

#[tokio::test]
async fn a_line_bears_the_name_chosen_last_before_it() {
    let store = Store::open_waiting(None);
    let (one, two) = (store.room(&name("one")).await.unwrap(), store.room(&name("two")).await.unwrap());
    let named = |author, time, nick| said(author, time, Content::Nick(nick));
    let line = |author, time| text(author, time, "hello");
    let in_one =
        vec![line(0, 10), named(0, 20, "ana"), line(0, 30), named(0, 40, "eve"), named(1, 25, "bob"), line(0, 50)];
    save(&store, one, in_one).await.unwrap();
    save(&store, two, vec![line(0, 60)]).await.unwrap();
    let found = find(&store, "hello", 9).await;
    let nicks: Vec<_> = found.hits.iter().map(|hit| hit.nick.as_ref().map(|(_, nick)| nick.as_slice())).collect();
    assert_eq!(nicks, [None, Some(&b"eve"[..]), Some(b"ana"), None]);
    store.close().await;
}

#[tokio::test]
async fn messages_of_one_time_are_all_found() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("h");
    let mut expect = 0;
    let last = Timestamp::MAX.0;
    let store = Store::open_waiting(Some(&path));
    for room in ["one", "two"] {
        let room = store.room(&name(room)).await.unwrap();
        // In every order, by several commits, at the end of time and just before what others take up.
        for (author, time) in
            [(1, 12), (0, 10), (1, 10), (2, 10), (3, 10), (0, 11), (0, last), (1, last), (2, last - 1)]
        {
            save(&store, room, vec![text(author, time, "tie")]).await.unwrap();
            expect += 1;
            let found = find(&store, "tie", 99).await;
            assert_eq!((found.hits.len(), found.indexing), (expect, None));
            assert!(found.hits.is_sorted_by(|a, b| a.message.key >= b.message.key));
        }
    }
    store.close().await;
    // Once more from the history, all at once.
    std::fs::remove_file(temp.path().join("search.sqlite3")).unwrap();
    for _ in 0..2 {
        let store = Store::open_waiting(Some(&path));
        complete(&store).await;
        assert_eq!(find(&store, "tie", 99).await.hits.len(), expect);
        store.close().await;
    }
}

#[tokio::test]
async fn what_comes_late_or_twice_is_found_once() {
    let store = Store::open_waiting(None);
    let room = store.room(&name("r")).await.unwrap();
    let messages: Vec<Message> = (0..40).map(|n| text(0, 10 + n, "late")).collect();
    for range in [30..40, 0..10, 5..35, 0..40] {
        save(&store, room, messages[range].to_vec()).await.unwrap();
    }
    let found: Vec<Key> = find(&store, "late", 99).await.hits.iter().map(|hit| hit.message.key).collect();
    assert_eq!(found, messages.iter().rev().map(Message::key).collect::<Vec<_>>());
    store.close().await;
}

#[tokio::test]
async fn while_the_index_is_not_complete_it_says_so() {
    let store = Store::open_waiting(None);
    let room = store.room(&name("r")).await.unwrap();
    // So many at once are a catching up, which has time.
    save(&store, room, (0..300).map(|n| text(0, 10 + n, "word")).collect()).await.unwrap();
    let found = find(&store, "word", 999).await;
    assert_eq!((found.hits.len(), found.indexing), (0, Some(Indexing { done: 0, of: 300 })));
    store.indexer().steps(2).await;
    save(&store, room, vec![text(0, 900, "word")]).await.unwrap();
    let found = find(&store, "word", 999).await;
    let indexing = found.indexing.unwrap();
    assert!(indexing.done > 1 && indexing.of == 301, "{indexing:?}");
    // The newest first.
    let times: Vec<u64> = found.hits.iter().map(|hit| hit.message.key.time.0).collect();
    assert_eq!(times[..3], [900, 309, 308]);
    assert_eq!(times.len() as u64, indexing.done);
    complete(&store).await;
    assert_eq!(find(&store, "word", 999).await.hits.len(), 301);
    store.close().await;
}

/// How FTS5 sees ASCII: words of letters and digits.
fn words_of(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect()
}

/// Whether all of what stands between blanks is in the line, the last one perhaps as a beginning.
fn has(line: &str, words: &str) -> bool {
    let line = words_of(line);
    let asked: Vec<Vec<String>> = words.split_whitespace().map(words_of).filter(|word| !word.is_empty()).collect();
    asked.iter().enumerate().all(|(n, word)| {
        let is_last = n + 1 == asked.len();
        line.windows(word.len()).any(|run| {
            let (last, before) = run.split_last().unwrap();
            let (asked, asked_before) = word.split_last().unwrap();
            before == asked_before && (last == asked || is_last && last.starts_with(asked.as_str()))
        })
    })
}

fn line() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof!["[abAB]{1,3}", "[ab]{1,2}['\\-.:\"*][ab]{1,2}", "[ -~]{0,6}"], 0..6)
        .prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// As by reading all lines; and whatever people type is only words.
    #[test]
    fn it_is_as_reading_all_lines(
        said in prop::collection::vec(line(), 1..40),
        asked in prop::collection::vec(line(), 1..20),
        anything in prop::collection::vec(any::<String>(), 1..20),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = Store::open_waiting(None);
            let room = store.room(&name("r")).await.unwrap();
            let messages = said.iter().zip(10..).map(|(line, time)| text(0, time, line)).collect();
            save(&store, room, messages).await.unwrap();
            for words in asked.iter().chain(["AND", "a OR b", "NEAR(a b)", "a*b", "^a", "text:a", "\"", "a\"b"].map(String::from).iter()) {
                let Ok(question) = Question::parse(words) else {
                    prop_assert!(words_of(words).is_empty());
                    continue;
                };
                let found = store.find(question, usize::MAX).await.unwrap();
                let found: Vec<u64> = found.hits.iter().map(|hit| hit.message.key.time.0).collect();
                let expect = said.iter().zip(10..).filter(|(line, _)| has(line, words));
                let mut expect: Vec<u64> = expect.map(|(_, time)| time).collect();
                expect.reverse();
                prop_assert_eq!(found, expect, "{:?}", words);
            }
            for words in anything {
                if let Ok(question) = Question::parse(&words) {
                    prop_assert!(store.find(question, 9).await.is_ok(), "{:?}", words);
                }
            }
            store.close().await;
            Ok(())
        })?;
    }
}
