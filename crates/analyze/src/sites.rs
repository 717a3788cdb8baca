//! Where each wait happened and, if it was for a lock, for which one.

use coldcase_ingest::capture::{Capture, ContentionFlags, Context, ProcessId, StackId, Syscall};
use rustc_hash::FxHashMap;

use crate::brackets::Brackets;
use crate::contention::{Contention, Contentions};
use crate::findings::{Cause, LockMode, Operation};
use crate::mm::AddressSpaces;
use crate::operation;
use crate::release;
use crate::rules::{Matcher, Rules, WaitKind};
use crate::thread_state::{ThreadStates, Wait, WaitId};

/// What each wait was for, by the wait's number.
pub(crate) struct Sites {
    sites: Vec<Site>,
    names: Vec<String>,
}

/// What one wait was for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site {
    name: u32,
    pub kind: WaitKind,
    /// It is known to be a lock and no queue: a function of the program tells, or the kind of lock.
    pub known_lock: bool,
    pub lock: Option<LockKey>,
    /// The lock's address, where the capture has it.
    pub address: Option<u64>,
    /// In which call the thread stood.
    pub operation: Option<Operation>,
}

/// A lock's identity, as well as the capture knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum LockKey {
    /// The `mmap_lock` of a process.
    Mmap(ProcessId),
    /// A lock of the kernel, by its address.
    Address(u64),
    /// A futex of a process, by its address.
    Futex(ProcessId, u64),
    /// Nothing but the kind of lock and the process is known.
    Kind(Cause, ProcessId),
}

impl Sites {
    pub fn new(
        capture: &Capture,
        rules: &Rules,
        states: &ThreadStates,
        brackets: &Brackets,
        contentions: &Contentions,
        spaces: &AddressSpaces,
    ) -> Self {
        let tables = Tables { capture, brackets, contentions, spaces };
        let mut matcher = Matcher::new(capture, rules);
        let mut names = Names::default();
        let sites = states.waits.iter().map(|wait| tables.site(wait, &mut matcher, &mut names));
        let sites = sites.collect();
        let mut sites = Self { sites, names: names.names };
        sites.unite_by_address(states, capture);
        sites
    }

    pub fn of(&self, wait: WaitId) -> &Site {
        &self.sites[wait.0 as usize]
    }

    /// Whether any wait could be told from others: without callchains or their names none can.
    pub fn any_named(&self) -> bool {
        self.sites.iter().any(|site| site.kind != WaitKind::Other)
    }

    pub fn name(&self, site: &Site) -> &str {
        &self.names[site.name as usize]
    }

    /// Takes waits that look like rest for a harm, which more than their own stacks tell; a harm keeps its name if no
    /// other is given.
    pub fn retell(&mut self, waits: &[WaitId], name: Option<&str>, cause: Cause) {
        let name = name.map(|name| self.name_id(name));
        for wait in waits {
            let site = &mut self.sites[wait.0 as usize];
            site.name = name.unwrap_or(site.name);
            site.kind = WaitKind::Harm(cause, None);
        }
    }

    /// Names waits that are known by more than their own stacks to be for a lock of the program.
    pub fn know(&mut self, waits: &[WaitId], name: &str) {
        let known = self.name_id(name);
        for wait in waits {
            let site = &mut self.sites[wait.0 as usize];
            (site.name, site.known_lock) = (known, true);
        }
    }

    fn name_id(&mut self, name: &str) -> u32 {
        let known = self.names.iter().position(|other| other == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        u32::try_from(known).unwrap_or(u32::MAX)
    }

    /// An rwsem whose caller no rule knows is the `mmap_lock` if other waits for the same address are.
    fn unite_by_address(&mut self, states: &ThreadStates, capture: &Capture) {
        let mut owners: FxHashMap<u64, FxHashMap<ProcessId, u32>> = FxHashMap::default();
        for (site, wait) in self.sites.iter().zip(&states.waits) {
            let own = site.operation != Some(Operation::ProcRead);
            if let (WaitKind::Harm(Cause::MmapLock, _), Some(address), true) =
                (site.kind, site.address, own)
            {
                let process = capture.threads.get(wait.thread).process;
                *owners.entry(address).or_default().entry(process).or_default() += 1;
            }
        }
        let owner_of = |address| -> Option<ProcessId> {
            let counts = owners.get(&address)?;
            counts
                .iter()
                .max_by_key(|(process, count)| (**count, std::cmp::Reverse(**process)))
                .map(|most| *most.0)
        };
        for site in &mut self.sites {
            let Some(address) = site.address else { continue };
            match site.kind {
                WaitKind::Harm(Cause::Rwsem, mode) => {
                    if let Some(process) = owner_of(address) {
                        site.kind = WaitKind::Harm(Cause::MmapLock, mode);
                        site.lock = Some(LockKey::Mmap(process));
                    }
                }
                // Who reads another process's maps waits for that process's lock.
                WaitKind::Harm(Cause::MmapLock, _) => {
                    if let Some(process) = owner_of(address) {
                        site.lock = Some(LockKey::Mmap(process));
                    }
                }
                _ => {}
            }
        }
    }
}

#[derive(Default)]
struct Names {
    names: Vec<String>,
    ids: FxHashMap<String, u32>,
}

impl Names {
    fn id(&mut self, name: &str) -> u32 {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }
}

struct Tables<'a> {
    capture: &'a Capture,
    brackets: &'a Brackets,
    contentions: &'a Contentions,
    spaces: &'a AddressSpaces,
}

impl Tables<'_> {
    fn site(&self, wait: &Wait, matcher: &mut Matcher<'_>, names: &mut Names) -> Site {
        let contention = self.contentions.of_sleep(wait.thread, wait.span);
        // A wait that was under way has no stack of its own; the end of its contention gives it back.
        let stack = wait.stack.or(contention.and_then(|contention| contention.stack));
        let operation = stack.and_then(|stack| operation::of_stack(self.capture, stack));
        let operation = operation.or_else(|| self.call(wait));
        let rule = matcher.rule(stack, wait.state);
        let (name, kind) = match rule {
            Some(rule) => (rule.site.clone(), rule.kind),
            None => self.without_rule(wait, stack, contention),
        };
        let full_name = full_name(&name, kind, operation);
        let address = contention.map(|contention| contention.lock);
        Site {
            name: names.id(&full_name),
            kind,
            known_lock: rule.is_some_and(|rule| rule.known_lock),
            lock: self.lock(wait, kind, address),
            address,
            operation,
        }
    }

    /// What can still be said of a wait that no rule fits.
    fn without_rule(
        &self,
        wait: &Wait,
        stack: Option<StackId>,
        contention: Option<&Contention>,
    ) -> (String, WaitKind) {
        if let Some(kind) = contention.and_then(|contention| contention.flags).and_then(by_flags) {
            // Without a stack, the call says whose semaphore it is: a memory call waits for mmap_lock.
            let memory = self.call(wait).is_some_and(operation::is_memory);
            return match kind {
                WaitKind::Harm(Cause::Rwsem, mode) if stack.is_none() && memory => {
                    ("mmap_lock".to_owned(), WaitKind::Harm(Cause::MmapLock, mode))
                }
                kind => ("kernel lock".to_owned(), kind),
            };
        }
        // An interrupt's stack is on top of that of a bystander.
        let wakeup = wait.wakeup.map(|index| &self.capture.wakeups[index]);
        let by_task = wakeup.filter(|wakeup| wakeup.context == Context::Task);
        let release = by_task.and_then(|wakeup| wakeup.stack);
        if stack.is_none()
            && let Some(kind) =
                release.and_then(|waker| release::released_lock(self.capture, waker))
        {
            return ("mmap_lock".to_owned(), kind);
        }
        let name = match stack {
            None => "not recorded".to_owned(),
            Some(stack) => crate::names::kernel(self.capture, stack)
                .find(|name| !crate::rules::is_scheduler(name))
                .map_or_else(|| "kernel function without a name".to_owned(), str::to_owned),
        };
        (name, WaitKind::Other)
    }

    fn call(&self, wait: &Wait) -> Option<Operation> {
        let bracket = self.brackets.at(wait.thread, wait.span.start)?;
        Some(Operation::Syscall(bracket.syscall))
    }

    fn lock(&self, wait: &Wait, kind: WaitKind, address: Option<u64>) -> Option<LockKey> {
        let WaitKind::Harm(cause, _) = kind else { return None };
        let process = self.capture.threads.get(wait.thread).process;
        match cause {
            Cause::MmapLock => Some(LockKey::Mmap(self.spaces.waited_for(wait).unwrap_or(process))),
            Cause::Futex => {
                let bracket = self.brackets.at(wait.thread, wait.span.start);
                let bracket = bracket.filter(|bracket| bracket.syscall == Syscall::Futex);
                let address = bracket.and_then(|bracket| bracket.args).map(|args| args[0]);
                Some(
                    address.map_or(LockKey::Kind(cause, process), |at| LockKey::Futex(process, at)),
                )
            }
            Cause::Rwsem | Cause::Mutex | Cause::VmaLock => {
                Some(address.map_or(LockKey::Kind(cause, process), LockKey::Address))
            }
            _ => None,
        }
    }
}

fn by_flags(flags: ContentionFlags) -> Option<WaitKind> {
    let mode = match (flags.read, flags.write) {
        (true, _) => Some(LockMode::Read),
        (_, true) => Some(LockMode::Write),
        _ => None,
    };
    match mode {
        _ if flags.mutex => Some(WaitKind::Harm(Cause::Mutex, None)),
        Some(mode) => Some(WaitKind::Harm(Cause::Rwsem, Some(mode))),
        None => None,
    }
}

/// A lock's site says how it was wanted and in which call.
pub(crate) fn full_name(name: &str, kind: WaitKind, operation: Option<Operation>) -> String {
    let mut full = name.to_owned();
    if let WaitKind::Harm(_, Some(mode)) = kind {
        full.push_str(if mode == LockMode::Read { " (read)" } else { " (write)" });
    }
    if let (WaitKind::Harm(..), Some(operation)) = (kind, operation)
        && !matches!(operation, Operation::Syscall(Syscall::Futex) | Operation::Signal)
    {
        full.push_str(" in ");
        full.push_str(operation.word());
    }
    full
}
