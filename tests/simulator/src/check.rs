//! What is demanded of a run.

use std::{collections::BTreeMap, sync::Arc};

use distchat_crdt::{AuthorLog, Claim, Fingerprint, Key, Message, Room, Signer};

use crate::{
    cheap::Cheap,
    faults::Fault,
    host::{Host, room_id},
    world::World,
};

/// Whether all correct replicas hold the same, and have it on disk.
pub(crate) fn all_equal(world: &World) -> bool {
    let mut first: Option<Fingerprint> = None;
    world.correct().all(|host| {
        let Some(room) = host.room() else { return false };
        let root = room.fingerprint();
        host.disk.backlog() == 0 && *first.get_or_insert(root) == root
    })
}

/// What each host holds, in brief.
pub(crate) fn state(world: &World) -> String {
    let hosts = world.correct().map(|host| {
        let room = host.room();
        let root = room.map_or_else(String::new, |room| room.fingerprint().grouped());
        format!("{} {:?} {root}", host.name(), room.map(|room| room.index().len()))
    });
    hosts.collect::<Vec<_>>().join(", ")
}

/// All of a room's state that replicas must agree on.
#[derive(PartialEq)]
struct View<'a> {
    transcript: &'a BTreeMap<Key, Vec<u8>>,
    fingerprint: Fingerprint,
    heads: Vec<Key>,
    holes: Vec<Claim>,
    authors: Vec<(distchat_crdt::AuthorId, AuthorLog)>,
}

fn view<'a>(host: &'a Host, room: &Room) -> View<'a> {
    View {
        transcript: &host.disk.durable.bodies,
        fingerprint: room.fingerprint(),
        heads: room.heads().iter().copied().collect(),
        // How many made-up claims are remembered may depend on the order in which they came; which are by `prev` not.
        holes: room.holes().filter(|claim| claim.vouched_seq.is_some()).collect(),
        authors: room.authors().iter().map(|(author, log)| (*author, log.clone())).collect(),
    }
}

/// What must hold once all are equal.
pub(crate) fn at_the_end(world: &mut World) -> Result<(), String> {
    let correct: Vec<&Host> = world.correct().collect();
    let Some(first) = correct.first() else { return Ok(()) };
    let rooms: Vec<&Room> = correct.iter().filter_map(|host| host.room()).collect();
    let views: Vec<View<'_>> = correct.iter().zip(&rooms).map(|(host, room)| view(host, room)).collect();
    for (host, other) in correct.iter().zip(&views).skip(1) {
        let differs = |what: &str| Err(format!("{} and {} differ in their {what}", first.name(), host.name()));
        if views[0].transcript != other.transcript {
            return differs("transcripts");
        }
        if views[0].heads != other.heads {
            return differs("heads");
        }
        if views[0].holes != other.holes {
            return differs("holes");
        }
        if views[0].authors != other.authors {
            return differs("authors' logs");
        }
    }
    let transcript = views[0].transcript;
    if let Some(lost) = world.ledger.acknowledged.iter().find(|key| !transcript.contains_key(key)) {
        return Err(format!("{lost:?} was acknowledged and is gone"));
    }
    let messages: Vec<Message> = transcript
        .values()
        .map(|bytes| Message::decode(bytes).map_err(|error| format!("a message on disk: {error}")))
        .collect::<Result<_, _>>()?;
    for message in &messages {
        let speaker = world.hosts.iter().find(|host| host.author.author() == message.author());
        let honest = speaker.is_some_and(|host| host.liar.is_none());
        if honest && !world.ledger.signed.contains(&message.key()) {
            return Err(format!("{message:?} is in the transcript, and its author never said it"));
        }
    }
    // Whatever way the state came about, it is what the messages alone make of it.
    let mut anew = Room::new(room_id(), first.author.author(), Arc::new(Cheap));
    let unauthentic = anew.merge(messages).unauthentic;
    let whole = unauthentic == 0 && anew.fingerprint() == views[0].fingerprint;
    if !whole || anew.heads().iter().copied().collect::<Vec<_>>() != views[0].heads {
        return Err(format!("merged at once the messages give another room: {unauthentic} were not accepted"));
    }
    let forked: Vec<usize> = correct
        .iter()
        .filter(|host| views[0].authors.iter().any(|(author, log)| *author == host.author.author() && log.is_forked()))
        .map(|host| host.number)
        .collect();
    let clocks_right = world.hits.of(Fault::ClockSet) == 0
        && world.hosts.iter().all(|host| host.liar.is_none() && host.ahead_ms(world.now).abs() < 60_000);
    let innocent = forked.iter().find(|host| clocks_right && !world.hosts[**host].restored);
    if let Some(host) = innocent {
        return Err(format!("h{host} wrote two messages under one number, for no reason"));
    }
    for _ in forked {
        world.hits.hit(Fault::Forked);
    }
    Ok(())
}
