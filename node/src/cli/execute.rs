//! Carrying out commands.

use distchat_node::{Message, Multiaddr, RoomName};

use super::command::Command;
use super::report::Report;
use crate::attach::{Client, Problem, Room};

/// What a command starts from.
pub(crate) struct Context {
    pub(crate) node: Client,
    /// The room that lines go to.
    pub(crate) current: Option<RoomName>,
    /// The nick chosen since the start, which rooms opened later take on too.
    pub(crate) nick: Option<String>,
}

/// What a command came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) reports: Vec<Report>,
    /// The room that lines go to from now on.
    pub(crate) current: Option<RoomName>,
    /// The nick chosen.
    pub(crate) nick: Option<String>,
    /// Whether the user wants to leave.
    pub(crate) quit: bool,
    /// Why it makes no sense to go on.
    pub(crate) failure: Option<String>,
}

fn only_on_screen() -> Problem {
    Problem::new("only-on-screen", "that is for the chat on a terminal; here, filter the lines as you like")
}

/// There is no room that lines could go to.
pub(crate) fn no_room() -> Problem {
    Problem::new("room-not-open", "no room is open; /join ROOM opens one")
}

/// Carries out a command. What it came to includes what went wrong.
pub(crate) async fn execute(context: Context, command: Command) -> Outcome {
    let mut outcome = Outcome { current: context.current.clone(), ..Outcome::default() };
    if let Err(problem) = try_to(&context, command, &mut outcome).await {
        outcome.reports.push(problem.into());
    }
    outcome
}

async fn try_to(context: &Context, command: Command, outcome: &mut Outcome) -> Result<(), Problem> {
    let reports = &mut outcome.reports;
    match command {
        Command::Join(name) => join(context, name, outcome).await?,
        Command::Leave => {
            let room = context.room(None)?;
            context.node.leave_room(room.name()).await?;
            outcome.current = context.node.rooms().pop().map(|room| room.name);
        }
        Command::Me(text) => {
            context.room(None)?.act(&text).await?;
        }
        Command::Reply(text) => {
            let room = context.room(None)?;
            let to = newest_of_others(&room).await?;
            room.reply(to.key, &text).await?;
        }
        Command::React(emoji) => {
            let room = context.room(None)?;
            let to = newest_of_others(&room).await?;
            room.react(to.key, &emoji).await?;
        }
        Command::Topic(Some(text)) => context.room(None)?.set_topic(&text).await?,
        Command::Topic(None) => {
            let room = context.room(None)?;
            let topic = room.topic().await?.map(|topic| topic.text).filter(|topic| !topic.is_empty());
            reports.push(Report::Notice(match topic {
                Some(topic) => format!("{} is about: {topic}", room.name()),
                None => format!("nobody has said yet what {} is about; /topic TEXT does", room.name()),
            }));
        }
        Command::Search(words) => {
            let found = context.node.search(&words, FOUND).await?;
            reports.push(Report::Found(found));
        }
        Command::Who => {
            let room = context.room(None)?;
            reports.push(Report::Members { room: room.name().clone(), members: room.members(MEMBERS).await? });
        }
        Command::Mute(_) | Command::Unmute(_) => return Err(only_on_screen()),
        Command::Rooms => {
            reports.push(Report::Rooms { rooms: context.node.rooms(), current: context.current.clone() });
        }
        Command::Peers => {
            reports.push(Report::Peers { peers: context.node.peers(), listen: context.node.listeners() });
        }
        Command::Counters => reports.push(Report::Counters(context.node.counters().await?)),
        Command::Connect(address) => connect(context, address, reports).await?,
        Command::History(newest) => {
            let room = context.room(None)?;
            let messages = room.messages(newest).await?;
            reports.push(Report::History { room: room.name().clone(), messages });
        }
        Command::Fingerprint => {
            let room = context.room(None)?;
            let info = room.fingerprint().await?;
            reports.push(Report::Fingerprint { room: room.name().clone(), info });
        }
        Command::Nick(nick) => {
            go_by(context, &nick, reports).await?;
            outcome.nick = Some(nick);
        }
        Command::Crash(name) => context.room(name.as_ref())?.crash().await?,
        Command::Restart(name) => context.room(name.as_ref())?.restart().await?,
        Command::Help => reports.push(Report::Help),
        Command::Quit => outcome.quit = true,
    }
    Ok(())
}

impl Context {
    /// The room of that name, or else the current one.
    fn room(&self, name: Option<&RoomName>) -> Result<Room, Problem> {
        let Some(name) = name.or(self.current.as_ref()) else {
            return Err(no_room());
        };
        let closed = || Problem::new("room-not-open", format!("the room {name} is not open; /join {name} opens it"));
        self.node.room(name).ok_or_else(closed)
    }
}

async fn join(context: &Context, name: RoomName, outcome: &mut Outcome) -> Result<(), Problem> {
    if let Some(info) = context.node.room_info(&name) {
        outcome.reports.push(Report::Switched(info));
        outcome.current = Some(name);
        return Ok(());
    }
    let room = context.node.open_room(&name).await?;
    outcome.current = Some(name);
    if let Some(nick) = &context.nick {
        room.set_nick(nick).await?;
    }
    Ok(())
}

/// Has the user go by that name in all rooms. One that has failed is no reason to go by another name in the others.
async fn go_by(context: &Context, nick: &str, reports: &mut Vec<Report>) -> Result<(), Problem> {
    let (mut problems, mut taken) = (Vec::new(), false);
    for info in context.node.rooms() {
        let Some(room) = context.node.room(&info.name) else { continue };
        match room.set_nick(nick).await {
            // That is so in every room.
            Err(problem) if problem.code == "bad-nick" => return Err(problem),
            Err(problem) => problems.push(problem),
            Ok(()) => taken = true,
        }
    }
    let refused = if taken { None } else { problems.pop() };
    reports.extend(problems.into_iter().map(Report::from));
    if let Some(problem) = refused {
        return Err(problem);
    }
    reports.push(Report::Notice(format!("you are {nick} from now on")));
    Ok(())
}

/// How many messages are found at most.
const FOUND: usize = 200;
/// How many members are listed at most.
const MEMBERS: usize = 1_000;
/// How far back a message of somebody else is looked for.
const LOOK_BACK: usize = 200;

/// What a reply or a reaction is about, where none can be selected.
async fn newest_of_others(room: &Room) -> Result<Message, Problem> {
    let messages = room.messages(LOOK_BACK).await?;
    let of_others = messages.into_iter().rfind(|message| !message.own && !message.future);
    let message = || format!("nobody else has said anything in {} lately", room.name());
    of_others.ok_or_else(|| Problem::new("nothing-to-answer", message()))
}

async fn connect(context: &Context, address: Multiaddr, reports: &mut Vec<Report>) -> Result<(), Problem> {
    let text = address.to_string();
    context.node.connect(address).await?;
    reports.push(Report::Notice(format!("connecting to {text}, again and again if need be")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use distchat_node::{Config, RoomState};

    use super::*;
    use crate::attach::Face;
    use crate::cli::testing::room_name;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_room_that_has_failed_keeps_no_nick_from_the_others() {
        let config = Config { memory: true, offline: true, ..Config::default() };
        let node = Client::start(config, Face::Chat).await.unwrap();
        let [first, failed, last] = ["a", "b", "c"].map(room_name);
        for room in [&first, &failed, &last] {
            node.open_room(room).await.unwrap();
        }
        let state = |room| node.room_info(room).unwrap().state;
        while state(&failed) != RoomState::Failed {
            let _ = node.room(&failed).unwrap().crash().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let context = || Context { node: node.clone(), current: Some(first.clone()), nick: None };
        let outcome = execute(context(), Command::Nick("ann".to_owned())).await;
        assert_eq!(outcome.nick.as_deref(), Some("ann"));
        let problems = outcome.reports.iter().filter_map(|report| match report {
            Report::Error { code, message } => Some((&**code, message.contains("`b`"))),
            _ => None,
        });
        assert_eq!(problems.collect::<Vec<_>>(), [("room-failed", true)]);
        for room in [&first, &last] {
            let said = node.room(room).unwrap().broadcast("hi").await.unwrap();
            assert_eq!(said.nick, "ann", "in {room}");
        }
        let outcome = execute(context(), Command::Nick(String::new())).await;
        assert!(outcome.nick.is_none() && outcome.reports.len() == 1, "{outcome:?}");
        node.shutdown().await;
    }
}
