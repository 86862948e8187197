//! The tests that drive the real program, and those of the parts that no one crate owns. One binary, so that it is
//! linked once. What is where:
//!
//! | module | what it shows |
//! | --- | --- |
//! | `lan_itself` | the virtual LAN does what the others believe of it |
//! | `lan_chat` | two who meet without being told of each other: on a LAN, on a computer without one, by address |
//! | `lan_faults` | cables pulled, power cut, the LAN split, while everybody writes: one history in the end |
//! | `network_changes` | cables out and in, other addresses, more interfaces, a long sleep: together again in seconds |
//! | `room_limit` | a room that holds as much as it may |
//! | `rooms` | rooms do not notice each other; a crash loses nothing; too many of them leave a room failed |
//! | `clocks` | a clock that is a year off neither reorders answers nor blocks anybody, nor does one that jumps |
//! | `many_rooms` | thousands of rooms: little memory, and in all of them all is heard |
//! | `clocks` | a clock that is a year off neither reorders answers nor blocks anybody |
//! | `identity` | one key on two computers, a restored backup: both branches are kept, everywhere |
//! | `input` | what bad input gets: lines, bytes, names |
//! | `commands` | the commands for scripts: what they print, their exit codes, completions, the README's bot |
//! | `daemon` | one node for several programs, and what becomes of them when it ends |
//! | `hostile` | what the tests of hostile peers have in common; each of those below shows one kind of them |
//! | `hostile_discovery` | mDNS full of forged hosts and peers, and somebody who has nothing to do with it |
//! | `hostile_flood` | strangers who send and open as much as they can |
//! | `hostile_frames` | frames that are no frames, and streams that drip |
//! | `hostile_streams` | streams that no library would make: windows that are to grow, more behind an end |
//! | `hostile_liars` | members who lie: endless trees, bad signatures, refs to nothing, forks, forgeries |
//! | `hostile_clocks` | peers whose clocks stand in 1970 and 2100 |
//! | `hostile_text` | members who say what no program says, and call themselves by others' names |
//! | `hostile_strangers` | browsers, other versions, names that are meant to do harm |
//! | `hostile_listeners` | who connects only to listen |
//! | `hostile_members` | members who say more than anybody can read, and who say again what others have said |
//! | `hostile_sybils` | one among a thousand that are all one |
//! | `hostile_amplifier` | who asks for much and wants none of it |
//! | `on_the_wire` | what somebody hears and can do who has the cable between two who talk |
//! | `configuring` | options from the environment and from a file, and which of them counts |
//! | `doctor` | each thing that keeps people apart is told with its cause, interface and direction |
//! | `terminal` | what is on the screen of a terminal, what is not, and that it is given back as it was |
//! | `chat_screen` | what the tests of the full-screen chat have in common; each of those below shows one feature of it |
//! | `chat_screen_typing` | editing, several lines, pastes, completion |
//! | `chat_screen_memory` | typed lines, drafts, and what is new, over a restart |
//! | `chat_screen_sizes` | windows made larger and smaller |
//! | `chat_screen_late` | a late message while the history is read |
//! | `chat_screen_long` | a long history read from its start |
//! | `chat_screen_hostile` | text that is meant to do harm, wherever others can put text |
//! | `chat_screen_names` | names that are the same, or look so |
//! | `chat_screen_commands` | replies, reactions, topics, the muted, searching, help |
//! | `chat_screen_rooms` | several rooms, what is new in them, the mouse |
//! | `chat_screen_status` | the line that says how everything is; wrong clocks, crashed rooms |
//! | `chat_screen_leaving` | the ways to leave, and where the log is |
//! | `chat_screen_options` | colours, the mouse, the bell |
//! | `refusals` | what keeps the program from starting, what it says then, and its exit code |
//! | `damage` | a history whose bytes were changed, cut off or exchanged: what comes back, and what is kept |
//! | `profiles` | whose a profile is: two processes, other users, links, permissions |
//! | `paths` | no room's name becomes a file's |
//! | `kills` | programs killed at random moments |
//! | `security` | what SECURITY.md claims is held by tests that exist |
//! | `failing_disk` | full disks, and disks that fail at any operation: what is told, kept, served, and gone on with |
//! | `power_loss` | what is on the disk after a power cut at any moment |
//! | `leaving` | the end of input, signals, and what is safe when the program has ended |
//! | `library` | what those who embed the library may rely on |
//! | `carry` | rooms carried in files, whatever becomes of those |
//! | `verifying` | a history judged anew, after somebody has had a hand in it |
//! | `receipts` | on whose disks a message is |
//! | `layering` | dependencies point one way |
//! | `documented` | what the libraries offer has examples that run, and no foreign types by accident |
//!
//! `common` is what several of them need. Tests that need a network make one (see [`distchat_tests::Lan`]), and say
//! so and pass where they may not; with `CI=true` they fail there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports by panicking")]

mod carry;
mod chat_screen;
mod chat_screen_commands;
mod chat_screen_hostile;
mod chat_screen_late;
mod chat_screen_leaving;
mod chat_screen_long;
mod chat_screen_memory;
mod chat_screen_names;
mod chat_screen_options;
mod chat_screen_rooms;
mod chat_screen_sizes;
mod chat_screen_status;
mod chat_screen_typing;
mod clocks;
mod commands;
mod common;
mod configuring;
mod daemon;
mod damage;
mod doctor;
mod documented;
mod failing_disk;
mod hostile;
mod hostile_amplifier;
mod hostile_clocks;
mod hostile_discovery;
mod hostile_flood;
mod hostile_frames;
mod hostile_liars;
mod hostile_listeners;
mod hostile_members;
mod hostile_strangers;
mod hostile_streams;
mod hostile_sybils;
mod hostile_text;
mod identity;
mod input;
mod kills;
mod lan_chat;
mod lan_faults;
mod lan_itself;
mod layering;
mod leaving;
mod library;
mod many_rooms;
mod network_changes;
mod on_the_wire;
mod paths;
mod power_loss;
mod profiles;
mod receipts;
mod refusals;
mod room_limit;
mod rooms;
mod security;
mod terminal;
mod verifying;
