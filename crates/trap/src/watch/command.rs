//! A health command: its exit status says whether all is well.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::Duration;

use rustix::process::{Signal, kill_process_group};

use super::{Answer, program};
use crate::session::pid_of;

/// Starts the command; its exit status is the answer. Gives the group of its processes.
pub fn ask(words: &[String], sender: Sender<Answer>) -> Option<u32> {
    let mut command = Command::new(program(words));
    command.args(words.get(1..).unwrap_or_default()).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            // The receiver waits: it is told within its own thread's next glance.
            let outcome = Err(format!("cannot be run: {error}"));
            sender.send(Answer { taken: Duration::ZERO, outcome }).ok();
            return None;
        }
    };
    let group = child.id();
    super::in_background(sender, move || match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("failed ({status})")),
        Err(error) => Err(format!("cannot be waited for: {error}")),
    });
    Some(group)
}

/// Ends a command that does not answer.
pub fn stop(group: Option<u32>) {
    if let Some(pid) = group.and_then(pid_of) {
        // It may have ended by itself.
        kill_process_group(pid, Signal::KILL).ok();
    }
}
