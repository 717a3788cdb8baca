//! Where each wait happened and, if it was for a lock, for which one.

pub(crate) mod brackets;
pub(crate) mod contention;
pub(crate) mod ended;
pub(crate) mod gates;
pub(crate) mod memory;
pub(crate) mod of_stacks;
pub(crate) mod operation;
pub(crate) mod requests;
pub(crate) mod rings;
pub(crate) mod sums;
pub(crate) mod totals;

use std::collections::BTreeMap;

use coldcase_ingest::capture::{
    Capture, ContentionFlags, Context, ProcessId, SeededMap, StackId, Syscall, TaskState,
};
use rustc_hash::FxHashMap;

use crate::findings::{Cause, LockMode, Operation};
use crate::holds::mm::AddressSpaces;
use crate::holds::release;
use crate::rules::{Matcher, Rules, WaitKind};
use crate::sites::brackets::Brackets;
use crate::sites::contention::{Contention, Contentions, Cursors};
use crate::sites::of_stacks::OfStacks;
use crate::states::{ThreadStates, Wait, WaitId};

/// What the rules call a wait until another thread has initialised something.
pub(crate) const INITIALISATION: &str = "one-time initialisation";

/// What each wait was for. Millions of waits are of some hundred sites, so each wait has the number of its own.
pub(crate) struct Sites {
    of_wait: Vec<u32>,
    unique: Unique,
    names: Vec<String>,
    /// Some were told anew, by more than their own stacks.
    pub retold: bool,
}

/// Different sites by their numbers.
#[derive(Default)]
struct Unique {
    sites: Vec<Site>,
    numbers: SeededMap<Site, u32>,
}

impl Unique {
    fn number(&mut self, site: Site) -> u32 {
        *self.numbers.entry(site).or_insert_with(|| {
            self.sites.push(site);
            u32::try_from(self.sites.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

/// What one wait was for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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

impl Site {
    /// The number of its name.
    pub fn number(&self) -> u32 {
        self.name
    }

    /// Whether this is what keeps a thread from running there.
    pub fn is_harm_by(&self, cause: Cause) -> bool {
        matches!(self.kind, WaitKind::Harm(known, _) if known == cause)
    }
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
        contentions: &Contentions<'_>,
        spaces: &AddressSpaces,
    ) -> Self {
        let tables = Tables { capture, rules, brackets, spaces };
        let mut known = Known {
            matcher: Matcher::new(capture, rules),
            operations: OfStacks::new(capture),
            names: Names::default(),
            of_rules: FxHashMap::default(),
            of_stacks: FxHashMap::default(),
            contentions: contentions.cursors(),
            by_stack: FxHashMap::default(),
        };
        let mut unique = Unique::default();
        let of_wait = states.waits.iter().map(|wait| tables.number(wait, &mut known, &mut unique));
        let of_wait = of_wait.collect();
        let mut sites = Self { of_wait, unique, names: known.names.names, retold: false };
        sites.unite_by_address(states, capture);
        sites.know_by_wakers(states, capture);
        sites
    }

    /// A futex of which the waiting stack does not tell whether it is a lock is one if who ended the wait let go of a
    /// lock: without frame pointers the waiter's stack often ends before the function that would tell.
    fn know_by_wakers(&mut self, states: &ThreadStates, capture: &Capture) {
        let mut ends = OfStacks::new(capture);
        let name_of = |stack| {
            let initialises = release::ends_initialisation(capture, stack);
            let name = if initialises { INITIALISATION } else { "mutex of the program" };
            (initialises || release::unlocks(capture, stack)).then_some(name)
        };
        let in_doubt = |site: &Site| site.is_harm_by(Cause::Futex) && !site.known_lock;
        let in_doubt: Vec<bool> = self.unique.sites.iter().map(in_doubt).collect();
        if !in_doubt.contains(&true) {
            return;
        }
        let waits = states.waits().filter(|(id, _)| in_doubt[self.number_of(*id) as usize]);
        let waits = waits.filter_map(|(id, wait)| {
            let wakeup = wait.wakeup.map(|wakeup| wakeup.of(capture));
            let wakeup = wakeup.filter(|wakeup| wakeup.context == Context::Task);
            let stack = wakeup.and_then(|wakeup| wakeup.stack)?;
            Some((id, ends.get(stack, || name_of(stack))?))
        });
        let mut by_name: BTreeMap<&str, Vec<WaitId>> = BTreeMap::new();
        waits.for_each(|(id, name)| by_name.entry(name).or_default().push(id));
        for (name, waits) in by_name {
            self.know(&waits, name);
        }
    }

    pub fn of(&self, wait: WaitId) -> &Site {
        &self.unique.sites[self.number_of(wait) as usize]
    }

    /// The number of a wait's site.
    pub fn number_of(&self, wait: WaitId) -> u32 {
        self.of_wait[wait.0 as usize]
    }

    /// Whether any wait could be told from others: without callchains or their names none can.
    pub fn any_named(&self) -> bool {
        self.unique.sites.iter().any(|site| site.kind != WaitKind::Other)
    }

    pub fn name(&self, site: &Site) -> &str {
        &self.names[site.name as usize]
    }

    /// The number of a site's name; `None` if no wait has it.
    pub fn number(&self, name: &str) -> Option<u32> {
        let known = self.names.iter().position(|other| other == name)?;
        u32::try_from(known).ok()
    }

    /// Names by their numbers.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Takes waits that look like rest for a harm, which more than their own stacks tell; a harm keeps its name if no
    /// other is given.
    pub fn retell(&mut self, waits: &[WaitId], name: Option<&str>, cause: Cause) {
        let name = name.map(|name| self.name_id(name));
        for &wait in waits {
            let site = *self.of(wait);
            let (name, kind) = (name.unwrap_or(site.name), WaitKind::Harm(cause, None));
            self.set(wait, Site { name, kind, ..site });
        }
    }

    /// Takes waits that look like a harm for rest, which more than their own stacks tell.
    pub fn rest(&mut self, waits: &[WaitId], name: &str) {
        let name = self.name_id(name);
        for &wait in waits {
            let site = *self.of(wait);
            self.set(wait, Site { name, kind: WaitKind::Idle, known_lock: false, ..site });
        }
    }

    /// Names waits that are known by more than their own stacks to be for a lock of the program.
    pub fn know(&mut self, waits: &[WaitId], name: &str) {
        let known = self.name_id(name);
        for &wait in waits {
            self.set(wait, Site { name: known, known_lock: true, ..*self.of(wait) });
        }
    }

    fn set(&mut self, wait: WaitId, site: Site) {
        self.of_wait[wait.0 as usize] = self.unique.number(site);
        self.retold = true;
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
        let of_own = |site: &Site| match site.kind {
            WaitKind::Harm(Cause::MmapLock, _) if site.operation != Some(Operation::ProcRead) => {
                site.address
            }
            _ => None,
        };
        let of_own: Vec<Option<u64>> = self.unique.sites.iter().map(of_own).collect();
        if of_own.iter().all(Option::is_none) {
            return;
        }
        let mut owners: SeededMap<u64, FxHashMap<ProcessId, u32>> = SeededMap::default();
        for (&number, wait) in self.of_wait.iter().zip(&states.waits) {
            if let Some(address) = of_own[number as usize] {
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
        for site in &mut self.unique.sites {
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
        let sites = self.unique.sites.iter().zip(0..);
        self.unique.numbers = sites.map(|(site, number)| (*site, number)).collect();
    }
}

#[derive(Default)]
struct Names {
    names: Vec<String>,
    ids: SeededMap<String, u32>,
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

/// What need not be found out again for each wait.
struct Known<'a> {
    matcher: Matcher<'a>,
    operations: OfStacks<Option<Operation>>,
    names: Names,
    /// Names of sites by the rule and the call.
    of_rules: FxHashMap<(usize, Option<Operation>), u32>,
    /// And of those that no rule fits, by their stack.
    of_stacks: FxHashMap<StackId, u32>,
    contentions: Cursors<'a>,
    /// Numbers of the sites of waits of which all that is known is told by their stack and state.
    by_stack: FxHashMap<(StackId, TaskState), u32>,
}

struct Tables<'a> {
    capture: &'a Capture,
    rules: &'a Rules,
    brackets: &'a Brackets,
    spaces: &'a AddressSpaces,
}

impl Tables<'_> {
    fn number(&self, wait: &Wait, known: &mut Known<'_>, unique: &mut Unique) -> u32 {
        let contention = known.contentions.of_sleep(wait.thread, wait.span);
        let by_stack = wait.stack.filter(|_| contention.is_none()).map(|stack| (stack, wait.state));
        if let Some(&number) = by_stack.and_then(|key| known.by_stack.get(&key)) {
            return number;
        }
        let site = self.site(wait, contention.as_ref(), known);
        let number = unique.number(site);
        // A lock is one process's, and a call that the stack does not tell is one wait's.
        if let Some((stack, state)) = by_stack
            && site.lock.is_none()
            && known.operations.get(stack, || operation::of_stack(self.capture, stack))
                == site.operation
            && (site.operation.is_some() || self.capture.syscalls.is_empty())
        {
            known.by_stack.insert((stack, state), number);
        }
        number
    }

    fn site(&self, wait: &Wait, contention: Option<&Contention>, known: &mut Known<'_>) -> Site {
        // A wait that was under way has no stack of its own; the end of its contention gives it back.
        let stack = wait.stack.or(contention.and_then(|contention| contention.stack));
        let operation = stack.and_then(|stack| {
            known.operations.get(stack, || operation::of_stack(self.capture, stack))
        });
        let operation = operation.or_else(|| self.call(wait));
        let number = known.matcher.number(stack, wait.state);
        let rule = number.map(|number| self.rules.rule(number));
        let flags = contention.and_then(|contention| contention.flags).and_then(by_flags);
        let names = &mut known.names;
        let (name, kind) = match (number.zip(rule), flags, stack) {
            (Some((number, rule)), ..) => {
                let new = || names.id(&full_name(&rule.site, rule.kind, operation));
                (*known.of_rules.entry((number, operation)).or_insert_with(new), rule.kind)
            }
            (None, None, Some(stack)) => {
                let new = || names.id(&self.first_function(stack));
                (*known.of_stacks.entry(stack).or_insert_with(new), WaitKind::Other)
            }
            (None, flags, _) => {
                let (name, kind) = self.without_rule(wait, stack, flags);
                (names.id(&full_name(name, kind, operation)), kind)
            }
        };
        let address = contention.map(|contention| contention.lock);
        Site {
            name,
            kind,
            known_lock: rule.is_some_and(|rule| rule.known_lock),
            lock: self.lock(wait, kind, address),
            address,
            operation,
        }
    }

    /// What a wait is called of which nothing but its stack is known.
    fn first_function(&self, stack: StackId) -> String {
        crate::names::kernel(self.capture, stack)
            .find(|name| !crate::rules::is_scheduler(name))
            .map_or_else(|| "kernel function without a name".to_owned(), str::to_owned)
    }

    /// What can still be said of a wait that no rule fits, by the lock's flags or without a stack.
    fn without_rule(
        &self,
        wait: &Wait,
        stack: Option<StackId>,
        flags: Option<WaitKind>,
    ) -> (&'static str, WaitKind) {
        if let Some(kind) = flags {
            // Without a stack, the call says whose semaphore it is: a memory call waits for mmap_lock.
            let memory = self.call(wait).is_some_and(operation::is_memory);
            return match kind {
                WaitKind::Harm(Cause::Rwsem, mode) if stack.is_none() && memory => {
                    ("mmap_lock", WaitKind::Harm(Cause::MmapLock, mode))
                }
                kind => ("kernel lock", kind),
            };
        }
        // An interrupt's stack is on top of that of a bystander.
        let wakeup = wait.wakeup.map(|wakeup| wakeup.of(self.capture));
        let by_task = wakeup.filter(|wakeup| wakeup.context == Context::Task);
        let release = by_task.and_then(|wakeup| wakeup.stack);
        match release.and_then(|waker| release::released_lock(self.capture, waker)) {
            Some(kind) => ("mmap_lock", kind),
            None if wait.open_start => ("began before the recording", WaitKind::Other),
            None => ("stack not recorded", WaitKind::Other),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    #[test]
    fn who_lets_go_of_a_lock_tells_what_the_waiter_does_not() {
        let known = |wakes: &str| {
            let script = format!(
                "0 .b,1ms a>b S schedule<futex_wait_queue<__futex_wait<futex_wait<user:__futex_abstimed_wait_common,\
                 9ms b!a try_to_wake_up<{wakes},9ms b>a,10ms .a"
            );
            let capture = script::record(Capture::default(), &script);
            let model = script::model(&capture);
            let (id, _) = model.states.waits().next().unwrap();
            (model.sites.name(model.sites.of(id)).to_owned(), model.sites.of(id).known_lock)
        };
        let (lock, queue) =
            (("mutex of the program".to_owned(), true), ("futex".to_owned(), false));
        assert_eq!(known("wake_up_q<futex_wake<do_futex<user:___pthread_rwlock_unlock"), lock);
        assert_eq!(known("wake_up_q<futex_wake<do_futex<user:__GI___lll_lock_wake"), lock);
        assert_eq!(known("wake_up_q<futex_wake<do_futex<user:___pthread_cond_signal"), queue);
        // As recorded: what the initialiser lets on meanwhile is not what waited for it.
        let initialisation = (INITIALISATION.to_owned(), true);
        assert_eq!(known("wake_up_q<futex_wake<do_futex<user:__pthread_once_slow"), initialisation);
        assert_eq!(
            known(
                "wake_up_q<futex_wake<do_futex<user:syscall<user:__cxa_guard_release<user:tables"
            ),
            initialisation
        );
        assert_eq!(
            known(
                "wake_up_q<futex_wake<do_futex<user:___pthread_cond_signal<user:__pthread_once_slow"
            ),
            queue
        );
        // A timer has the stack of whom it interrupts.
        assert_eq!(known("hrtimer_wakeup<asm_sysvec_apic<user:___pthread_rwlock_unlock"), queue);
    }
}
