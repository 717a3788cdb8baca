//! What each kind of name becomes.

use coldcase_ingest::capture::{Capture, Frame, Location, Mode, NameKind, Sentence, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::key::{Key, Space};
use crate::{command, functions, paths, public};

/// Which names are private.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Scope {
    /// All that are not everybody's: also the functions of programs, which may carry a company's, a product's or a customer's name.
    #[default]
    All,
    /// Hosts, users, files, commands, processes and threads; functions keep their names.
    Names,
}

/// Replaces names by tokens, the same name by the same token.
#[derive(Debug)]
pub struct Redaction {
    scope: Scope,
    key: Key,
    /// Names of processes, whose threads of the same name are shown as the process.
    processes: FxHashSet<String>,
    /// What stands for a frame of user code where only its label is known, as in folded stacks.
    labels: FxHashMap<String, String>,
}

impl Redaction {
    /// A redaction that goes on with the tokens of a key.
    #[must_use]
    pub fn new(scope: Scope, key: Key) -> Self {
        Self { scope, key, processes: FxHashSet::default(), labels: FxHashMap::default() }
    }

    /// The tokens given so far.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Gives the names of a capture their tokens, so that they do not depend on what is written of it. To be called before anything of
    /// that capture is redacted.
    pub fn learn(&mut self, capture: &Capture) {
        let origin = &capture.origin;
        if let Some(host) = &origin.hostname {
            self.host(host);
        }
        for (id, process) in capture.threads.processes() {
            if !process.threads.is_empty() {
                self.processes.insert(capture.threads.process_comm(id).to_owned());
            }
        }
        let names = capture.threads.iter().flat_map(|(_, thread)| &thread.names);
        names.for_each(|(_, name)| {
            self.task(name);
        });
        for (_, frame) in capture.frames.iter().filter(|(_, frame)| frame.mode == Mode::User) {
            self.learn_labels(capture, frame);
        }
    }

    fn learn_labels(&mut self, capture: &Capture, frame: &Frame) {
        let module = match frame.location {
            Location::File { module, .. } => Some(capture.modules.get(module).path.as_str()),
            Location::Address(_) | Location::Named(_) => None,
        };
        if let Symbol::Known(calls) = &frame.symbol {
            for call in calls {
                let shown = self.function(Mode::User, module, &call.function);
                self.labels.insert(call.function.clone(), shown);
            }
        } else if let Some(path) = module {
            let name = path.rsplit('/').next().unwrap_or(path);
            let shown = self.path(path);
            let shown = shown.rsplit('/').next().unwrap_or(&shown).to_owned();
            self.labels.insert(name.to_owned(), shown);
        }
    }

    /// What stands for a host's name.
    pub fn host(&mut self, name: &str) -> String {
        self.plain(Space::Host, name)
    }

    /// What stands for the name of a process or thread; one that everybody has stays (the threads of the kernel).
    pub fn task(&mut self, name: &str) -> String {
        if public::is_public_task(name) {
            return name.to_owned();
        }
        let known = self.key.known(Space::Process, name).or(self.key.known(Space::Thread, name));
        let space = if self.processes.contains(name) { Space::Process } else { Space::Thread };
        known.unwrap_or_else(|| self.key.token(space, name)).to_string()
    }

    /// What stands for the path of a file or folder, part by part.
    pub fn path(&mut self, path: &str) -> String {
        paths::path(&mut self.key, path)
    }

    /// What stands for a command line, word by word.
    pub fn command(&mut self, words: &[String]) -> Vec<String> {
        command::command(&mut self.key, words)
    }

    /// What stands for an event's name; one of every kernel stays.
    pub fn event(&mut self, name: &str) -> String {
        if public::is_public_event(name) { name.to_owned() } else { self.plain(Space::Event, name) }
    }

    /// What stands for a function, of a module if that is known.
    pub(crate) fn function(&mut self, mode: Mode, module: Option<&str>, name: &str) -> String {
        if mode == Mode::Kernel {
            return self.kernel_function(name);
        }
        let shared = module.is_some_and(is_shared);
        let kept = match self.scope {
            Scope::All => {
                shared || functions::is_public(name) || !name.contains(char::is_alphabetic)
            }
            Scope::Names => !functions::holds_a_path(name),
        };
        if kept { name.to_owned() } else { self.plain(Space::Function, name) }
    }

    /// The kernel's functions are everybody's, but not BPF programs that were loaded into it: `bpf_prog_6deef7357e7b4530_trace_ledger`.
    fn kernel_function(&mut self, name: &str) -> String {
        let tag_and_name = name.strip_prefix("bpf_prog_").and_then(|rest| rest.split_once('_'));
        match tag_and_name.filter(|_| self.scope == Scope::All) {
            Some((tag, own)) => {
                format!("bpf_prog_{tag}_{}", self.key.token(Space::Function, own))
            }
            None => name.to_owned(),
        }
    }

    /// What stands for a source file, of a function of a module.
    pub(crate) fn source(&mut self, module: Option<&str>, path: &str) -> String {
        if module.is_some_and(is_shared) { path.to_owned() } else { self.path(path) }
    }

    /// What stands for a frame of a folded stack: `clear_page_erms_[k]`, `main`, `ledger+0x1234`.
    pub(crate) fn label(&mut self, label: &str) -> String {
        if let Some(name) = label.strip_suffix("_[k]") {
            return format!("{}_[k]", self.kernel_function(name));
        }
        if let Some(shown) = self.labels.get(label) {
            return shown.clone();
        }
        let place = label.rsplit_once("+0x").filter(|(_, offset)| is_hex(offset));
        if let Some((module, offset)) = place {
            let known = self.labels.get(module).cloned();
            let shown = known.unwrap_or_else(|| paths::file(&mut self.key, module));
            return format!("{shown}+0x{offset}");
        }
        if label.strip_prefix("0x").is_some_and(is_hex) {
            return label.to_owned();
        }
        self.function(Mode::User, None, label)
    }

    /// A sentence of ours with its names replaced.
    pub(crate) fn sentence(&mut self, sentence: &Sentence) -> Sentence {
        sentence.renamed(|kind, name| match kind {
            NameKind::Task => self.task(name),
            NameKind::Path => self.path(name),
            NameKind::Event => self.event(name),
            NameKind::Quote => self.quote(name),
        })
    }

    /// What stands for somebody's own words.
    pub(crate) fn quote(&mut self, words: &str) -> String {
        self.plain(Space::Quote, words)
    }

    fn plain(&mut self, space: Space, name: &str) -> String {
        if name.is_empty() { String::new() } else { self.key.token(space, name).to_string() }
    }
}

/// Whether a module is a library that many programs share, so that its functions are everybody's.
fn is_shared(module: &str) -> bool {
    let path = module.strip_suffix(" (deleted)").unwrap_or(module);
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("[vd") || name.contains(".so") && public::is_public_file(name)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
