//! Who goes first when there is more to do than the machine has cores for.

use tokio::runtime::Builder;

/// By how much the threads behind a screen are nicer than the one that draws it: enough that a key is seen at once while a
/// long history comes in, and little enough that the node still gets its third of a core beside another program.
#[cfg(target_os = "linux")]
const NICER: i32 = 5;

/// Has the threads of the runtime, and those that they start, give way to the calling one. Where the system knows only the
/// priority of whole processes it does nothing.
#[cfg(target_os = "linux")]
pub(super) fn give_way(runtime: &mut Builder) {
    // On Linux `setpriority` of "this process" is that of the calling thread: see setpriority(2), "C library/kernel
    // differences".
    let Ok(own) = rustix::process::getpriority_process(None) else { return };
    runtime.on_thread_start(move || {
        // To become nicer is refused to nobody; and if it is, all are as nice as they were.
        let _ = rustix::process::setpriority_process(None, own + NICER);
    });
}

#[cfg(not(target_os = "linux"))]
pub(super) fn give_way(_runtime: &mut Builder) {}
