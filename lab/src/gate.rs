//! Waiting for the recorder: a line on standard input opens the gate, and so does its end.

use crate::truth::note;

/// Says that the scenario is prepared and waits until the recorder wants the freeze.
pub fn ready() {
    note!("ready pid={}", std::process::id());
    wait_for_line();
    note!("go");
}

/// Says that the freeze is over and waits until the recorder has enough, then leaves at once:
/// unmapping gigabytes in an orderly way would freeze the threads once more.
pub fn done() -> ! {
    note!("done");
    wait_for_line();
    std::process::exit(0)
}

fn wait_for_line() {
    let mut line = String::new();
    let _ = std::io::stdin().read_line(&mut line);
}
