//! What raises an alarm.
//!
//! Each kind of watch asks once in a while whether all is well. A question that is not answered in time is an alarm before
//! the answer comes: in a freeze it may not come at all.

mod command;
mod network;
mod process;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

pub use network::HttpTarget;
pub use process::ProcessWatch;

use crate::proc;

/// A question that has gone on for so many times its limit is given up, and asked anew.
const GIVE_UP: u32 = 30;

/// What is watched.
#[derive(Clone, Debug)]
pub enum Watched {
    /// A command whose exit status says whether all is well.
    Command(Vec<String>),
    /// An HTTP address that answers with a status below 400.
    Http(HttpTarget),
    /// A TCP address that takes a connection, and, if something is sent, answers anything.
    Tcp {
        /// `HOST:PORT`.
        address: String,
        /// What is sent first.
        send: Vec<u8>,
    },
    /// A process whose threads run.
    Process(Which),
}

/// Which process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// By its number.
    Pid(u32),
    /// The largest of this name.
    Name(String),
}

impl Which {
    /// Its number, if it is there.
    pub fn pid(&self) -> Option<u32> {
        match self {
            Self::Pid(pid) => Some(*pid).filter(|pid| proc::exists(*pid)),
            Self::Name(name) => proc::largest_named(name),
        }
    }
}

/// How often and how strictly is asked.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// From question to question.
    pub every: Duration,
    /// An answer that takes longer is an alarm.
    pub slower_than: Duration,
    /// So many failures in a row are an alarm.
    pub confirm: u32,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was answered yet.
    Unknown,
    /// All is well.
    Well,
    /// Something is wrong: what, for a person.
    Ill(String),
}

/// One thing that is watched.
pub struct Watch {
    what: Watched,
    manners: Manners,
    probe: Option<Probe>,
    process: Option<ProcessWatch>,
    next: Instant,
    failures: u32,
    health: Health,
}

/// What was answered, and after how long: by the clock of the thread that asked, because the trap itself looks only once in a
/// while.
pub struct Answer {
    taken: Duration,
    outcome: Result<(), String>,
}

/// A question that waits for its answer.
struct Probe {
    asked: Instant,
    answer: Receiver<Answer>,
    /// The group of processes that answers, if it is a command.
    group: Option<u32>,
}

impl Watch {
    /// Watches something from now on.
    pub fn new(what: Watched, manners: Manners) -> Self {
        let process = match &what {
            Watched::Process(which) => Some(ProcessWatch::new(which.clone(), manners.slower_than)),
            _ => None,
        };
        let next = Instant::now();
        Self { what, manners, probe: None, process, next, failures: 0, health: Health::Unknown }
    }

    /// In words.
    pub fn describe(&self) -> String {
        match &self.what {
            Watched::Command(words) => format!("the command {}", words.join(" ")),
            Watched::Http(target) => format!("http://{}{}", target.authority, target.path),
            Watched::Tcp { address, .. } => format!("TCP {address}"),
            Watched::Process(Which::Pid(pid)) => format!("process {pid}"),
            Watched::Process(Which::Name(name)) => format!("process {name}"),
        }
    }

    /// The process that is watched, while it is there.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(ProcessWatch::pid)
    }

    /// How things stand now; asks if it is time to. Never waits.
    pub fn poll(&mut self) -> Health {
        if let Some(process) = &mut self.process {
            if Instant::now() >= self.next {
                self.next = Instant::now() + self.manners.every;
                self.health = process.look();
            }
            return self.health.clone();
        }
        match self.probe.take() {
            Some(probe) => self.wait_for(probe),
            None if Instant::now() >= self.next => self.ask(),
            None => {}
        }
        self.health.clone()
    }

    fn ask(&mut self) {
        self.next = Instant::now() + self.manners.every;
        let (sender, answer) = channel();
        let patience = self.manners.slower_than * GIVE_UP;
        let group = match &self.what {
            Watched::Command(words) => command::ask(words, sender),
            Watched::Http(target) => {
                let target = target.clone();
                in_background(sender, move || network::http(&target, patience));
                None
            }
            Watched::Tcp { address, send } => {
                let (address, send) = (address.clone(), send.clone());
                in_background(sender, move || network::tcp(&address, &send, patience));
                None
            }
            Watched::Process(_) => None,
        };
        self.probe = Some(Probe { asked: Instant::now(), answer, group });
    }

    fn wait_for(&mut self, probe: Probe) {
        let taken = probe.asked.elapsed();
        let limit = self.manners.slower_than;
        match probe.answer.try_recv() {
            Ok(answer) => self.answered(answer),
            Err(TryRecvError::Disconnected) => {
                self.answered(Answer { taken, outcome: Err("it could not be asked".to_owned()) });
            }
            Err(TryRecvError::Empty) => {
                if taken > limit {
                    let watched = self.describe();
                    self.health = Health::Ill(format!("{watched} has not answered for {limit:?}"));
                }
                if taken > limit * GIVE_UP {
                    command::stop(probe.group);
                } else {
                    self.probe = Some(probe);
                }
            }
        }
    }

    fn answered(&mut self, Answer { taken, outcome }: Answer) {
        let slow = taken > self.manners.slower_than;
        let slow = slow.then(|| format!("took {:.2} s to answer", taken.as_secs_f64()));
        let problem = outcome.err().or(slow);
        match problem {
            None => {
                self.failures = 0;
                self.health = Health::Well;
            }
            Some(problem) => {
                self.failures += 1;
                if self.failures >= self.manners.confirm {
                    self.health = Health::Ill(format!("{}: {problem}", self.describe()));
                }
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        command::stop(self.probe.as_ref().and_then(|probe| probe.group));
    }
}

fn in_background(
    sender: Sender<Answer>,
    ask: impl FnOnce() -> Result<(), String> + Send + 'static,
) {
    let asked = Instant::now();
    let answer = move || {
        let outcome = ask();
        sender.send(Answer { taken: asked.elapsed(), outcome }).ok()
    };
    // Where no thread can be made, the sender is dropped, and that is an answer too.
    let thread = std::thread::Builder::new().name("check".to_owned());
    thread.spawn(answer).ok();
}

/// The program of a command, for messages.
pub fn program(words: &[String]) -> PathBuf {
    words.first().map(PathBuf::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command that sleeps so long is found to be, by a trap that looks again only after `glance`.
    fn judged(seconds: &str, slower_than: u64, glance: u64) -> Health {
        let manners = Manners {
            every: Duration::from_secs(60),
            slower_than: Duration::from_millis(slower_than),
            confirm: 1,
        };
        let words = ["sleep", seconds].map(str::to_owned).to_vec();
        let mut watch = Watch::new(Watched::Command(words), manners);
        assert_eq!(watch.poll(), Health::Unknown);
        std::thread::sleep(Duration::from_millis(glance));
        watch.poll()
    }

    #[test]
    fn how_long_an_answer_took_does_not_depend_on_when_it_is_looked_at() {
        assert_eq!(judged("0", 1000, 1500), Health::Well);
        let slow = judged("0.2", 100, 1500);
        assert!(matches!(&slow, Health::Ill(saw) if saw.contains("took 0.2")), "{slow:?}");
    }
}
