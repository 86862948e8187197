//! What `--help` says below the options.

/// Where the file is unless something names another.
const USUAL: &str = if cfg!(windows) {
    r"%APPDATA%\distchat\config.toml"
} else if cfg!(target_os = "macos") {
    "~/Library/Application Support/distchat/config.toml"
} else {
    "$XDG_CONFIG_HOME/distchat/config.toml (~/.config/distchat/config.toml)"
};

const MORE: &str = "\
Examples:
  distchat --room general                  chat with everybody on this network
  distchat --room general --name second    a second one on the same machine
  distchat --room lobby --room rust        two rooms; what you type goes to the first
  echo hello | distchat --room general     say one line and leave
  distchat --json --stay < /dev/null       watch, for a program to read
  distchat --connect /ip4/192.168.1.20/tcp/4001
  distchat config                          what is in force, as a file to begin with
  uptime | distchat send general --wait 2  say it, and wait until two others have it on disk
  distchat tail general -f --json          what is said there, for a program to read
  distchat daemon --room general           a node without a face, which chats and commands use

One node a profile:
  A chat or a command uses the node of its profile if one runs, be it a service's, a
  chat's or another command's; else it runs one itself, which others can use meanwhile.
  They meet at the file `socket` in the profile's directory.

Input:
  Each line is a message to the current room. One that starts with / is a command
  (/help lists them), // stands for a literal slash. In a terminal you get a
  full-screen chat (F1 lists its keys); otherwise messages go to stdout and notices
  to stderr.

Where options come from, the strongest first:
  flags         --nick ana --room general --room rust
  environment   DISTCHAT_NICK=ana DISTCHAT_ROOM=general,rust DISTCHAT_NO_MDNS=true
                DISTCHAT_ and the option's name; what may be repeated takes a list with
                commas or spaces between; an empty variable counts for nothing
  file          nick = \"ana\"
                room = [\"general\", \"rust\"]
                TOML, the keys are the options' names; it is the one that --config names,
                else {file}
  distchat config prints what is in force, and where each option comes from.
  NO_COLOR, if set and not empty: no colours.

Exit codes:
  0  normal, also after Ctrl-C, SIGTERM or a closed pipe
  1  unexpected error, or others could have had a hand in the profile's directory
  2  an option is wrong: on the command line, in the environment or in the file
  3  the profile is in use by a process whose node cannot be used
  4  the author's key cannot be read or written
  5  the store is too new or cannot be opened (one that is damaged is replaced)
  6  an address cannot be listened on or connected to
  7  `send --wait`: it is on this disk, and not on as many others as were wanted
  8  there is nothing of the kind that was asked for: no such words, no such room
  9  `import`, `verify`: something is damaged, or was changed by somebody; it is said what
 10  `doctor`: there are warnings
 11  `doctor`: something keeps people apart";

/// The text, with the file's place on this system.
pub(super) fn more() -> String {
    MORE.replace("{file}", USUAL)
}
