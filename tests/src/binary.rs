//! The program under test.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// Names a program to test instead of the one that cargo would build.
pub const OVERRIDE: &str = "DISTCHAT_BIN";

/// The path of the `distchat` program, built by this process if it was not fresh.
///
/// `cargo test` builds a package's programs only for that package's own integration tests, and these are in another
/// one. Without the build below they would drive whatever program was lying there.
pub fn distchat() -> &'static Path {
    // A failure is kept, too, or every test would build it again.
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let binary = BINARY.get_or_init(|| match env::var_os(OVERRIDE) {
        Some(path) => Ok(PathBuf::from(path)),
        None => build(),
    });
    binary.as_deref().unwrap_or_else(|error| panic!("there is no program to test: {error}"))
}

fn build() -> Result<PathBuf, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from(env!("CARGO")));
    let mut command = Command::new(cargo);
    // All default members, as `cargo run` has them: naming the one package would choose other features for its
    // dependencies, and compile them all over again.
    command.args(["build", "--bin", "distchat", "--message-format", "json-render-diagnostics"]);
    if let Some(place) = Place::of_this_test() {
        command.args(place.arguments());
    }
    // What cargo tells this test about its package would be told to the build scripts, some of which watch that: ring
    // would be compiled anew every time, and all that needs it.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name.to_string_lossy().starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command.current_dir(workspace()).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "distchat")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "cargo does not say where it put distchat".to_owned())
}

/// The workspace's directory.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of a workspace")
}

/// Where, and so how, cargo built the program that is running: `<directory>/[<triple>/]<profile>/[deps|examples/]<program>`.
struct Place {
    directory: PathBuf,
    triple: Option<OsString>,
    profile: String,
}

impl Place {
    fn of_this_test() -> Option<Self> {
        let program = env::current_exe().ok()?;
        let folder = program.parent()?;
        let below = folder.ends_with("deps") || folder.ends_with("examples");
        let profile = if below { folder.parent()? } else { folder };
        let above = profile.parent()?;
        // Cargo marks its target directory with this file; a triple's folder inside does not have it.
        let (directory, triple) =
            if above.join("CACHEDIR.TAG").exists() { (above, None) } else { (above.parent()?, above.file_name()) };
        directory.join("CACHEDIR.TAG").exists().then_some(())?;
        Some(Self {
            directory: directory.to_owned(),
            triple: triple.map(OsString::from),
            profile: profile.file_name()?.to_str()?.to_owned(),
        })
    }

    fn arguments(&self) -> Vec<OsString> {
        let profile = if self.profile == "debug" { "dev" } else { &self.profile };
        let mut arguments =
            vec!["--profile".into(), profile.into(), "--target-dir".into(), self.directory.clone().into()];
        if let Some(triple) = &self.triple {
            arguments.extend(["--target".into(), triple.clone()]);
        }
        arguments
    }
}
