//! Wait-site rules: a table that a person can read and extend, applied to stacks.
//!
//! The table is `rules.txt`; its head explains the columns. Functions are matched once per name, not once
//! per stack, so that a capture with many stacks costs no more than one with few.

use std::collections::BTreeMap;

use coldcase_ingest::capture::{Capture, SeededMap, StackId, TaskState};
use rustc_hash::FxHashMap;

use crate::findings::{Cause, LockMode};
use crate::names;

const BUILT_IN: &str = include_str!("rules.txt");

/// A table of rules.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    groups: Vec<Vec<Pattern>>,
}

/// One rule: the first that fits a stack says what its thread waits for.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The site's name.
    pub site: String,
    /// What kind of waiting it is.
    pub kind: WaitKind,
    /// Kernel versions that it was written for.
    pub kernels: String,
    /// Where in the kernel it comes from.
    pub source: String,
    /// What it names is a lock of the program and no queue, which a futex alone does not tell.
    pub known_lock: bool,
    conditions: Vec<Condition>,
}

/// What kind of waiting a site is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WaitKind {
    /// Something that a freeze is made of, with the mode if it is a lock.
    Harm(Cause, Option<LockMode>),
    /// Rest: the thread lacks nothing.
    Idle,
    /// Neither: a child process, a work queue.
    Other,
}

#[derive(Clone, Debug)]
enum Condition {
    At(usize),
    By(usize),
    In(usize),
    User(usize),
    State(TaskState),
}

/// A function name, or the beginning of one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    text: String,
    prefix: bool,
}

/// A line of a rule table that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for RuleError {}

impl Rules {
    /// The rules that come with coldcase.
    #[must_use]
    pub fn built_in() -> Self {
        // A test reads the whole table, so nothing is left out here.
        parse(BUILT_IN).unwrap_or_else(|_| Self { rules: Vec::new(), groups: Vec::new() })
    }

    /// These rules, with those of `text` before them.
    ///
    /// # Errors
    ///
    /// Names the first line that cannot be read.
    pub fn extended(&self, text: &str) -> Result<Self, RuleError> {
        let mut rules = parse(text)?;
        let shift = rules.groups.len();
        rules.groups.extend(self.groups.iter().cloned());
        rules.rules.extend(self.rules.iter().cloned().map(|mut rule| {
            for condition in &mut rule.conditions {
                match condition {
                    Condition::At(group)
                    | Condition::By(group)
                    | Condition::In(group)
                    | Condition::User(group) => *group += shift,
                    Condition::State(_) => {}
                }
            }
            rule
        }));
        Ok(rules)
    }

    /// The rules in order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}

/// Applies rules to the stacks of one capture, each name and each stack once.
pub(crate) struct Matcher<'a> {
    capture: &'a Capture,
    rules: &'a Rules,
    groups_of_name: SeededMap<&'a str, Vec<bool>>,
    /// Groups that name functions of programs.
    user_groups: Vec<usize>,
    groups_of_user_name: SeededMap<&'a str, Vec<usize>>,
    of_stack: FxHashMap<(StackId, TaskState), Option<usize>>,
}

impl<'a> Matcher<'a> {
    pub fn new(capture: &'a Capture, rules: &'a Rules) -> Self {
        let conditions = rules.rules.iter().flat_map(|rule| &rule.conditions);
        let user_groups = conditions.filter_map(|condition| match *condition {
            Condition::User(group) => Some(group),
            _ => None,
        });
        Self {
            capture,
            rules,
            groups_of_name: SeededMap::default(),
            user_groups: user_groups.collect(),
            groups_of_user_name: SeededMap::default(),
            of_stack: FxHashMap::default(),
        }
    }

    /// The first rule that fits, if any.
    pub fn rule(&mut self, stack: Option<StackId>, state: TaskState) -> Option<&'a Rule> {
        let rules = self.rules;
        self.number(stack, state).map(|number| &rules.rules[number])
    }

    /// The number of the first rule that fits, if any.
    pub fn number(&mut self, stack: Option<StackId>, state: TaskState) -> Option<usize> {
        let Some(known) = stack else { return self.first_match(None, state) };
        if let Some(&number) = self.of_stack.get(&(known, state)) {
            return number;
        }
        let number = self.first_match(stack, state);
        self.of_stack.insert((known, state), number);
        number
    }

    fn first_match(&mut self, stack: Option<StackId>, state: TaskState) -> Option<usize> {
        let functions: Vec<&'a str> = match stack {
            Some(stack) => names::kernel(self.capture, stack).collect(),
            None => Vec::new(),
        };
        for name in &functions {
            if !self.groups_of_name.contains_key(name) {
                let groups = self.rules.groups.iter();
                let fits =
                    groups.map(|group| group.iter().any(|pattern| pattern.fits(name))).collect();
                self.groups_of_name.insert(name, fits);
            }
        }
        let user = stack.map(|stack| self.user_groups(stack)).unwrap_or_default();
        let fits: Vec<&[bool]> =
            functions.iter().map(|name| self.groups_of_name[name].as_slice()).collect();
        let first =
            functions.iter().position(|name| !is_scheduler(name)).unwrap_or(functions.len());
        let fits = Fits { kernel: fits, first, user };
        self.rules.rules.iter().position(|rule| rule.fits(&fits, state))
    }

    /// The groups of which a stack's user functions are.
    fn user_groups(&mut self, stack: StackId) -> Vec<usize> {
        let mut all = Vec::new();
        for name in names::user(self.capture, stack) {
            let (rules, user_groups) = (self.rules, &self.user_groups);
            let groups = self.groups_of_user_name.entry(name).or_insert_with(|| {
                let name = names::normalise(name);
                let groups = user_groups.iter().copied();
                groups.filter(|&group| rules.groups[group].iter().any(|it| it.fits(name))).collect()
            });
            all.extend_from_slice(groups);
        }
        all
    }
}

/// Of which groups a stack's functions are.
struct Fits<'f> {
    /// `kernel[f][g]`: whether kernel function `f`, innermost first, is in group `g`.
    kernel: Vec<&'f [bool]>,
    /// The innermost kernel function that is not the scheduler's.
    first: usize,
    /// Groups of its user functions.
    user: Vec<usize>,
}

impl Rule {
    fn fits(&self, fits: &Fits<'_>, state: TaskState) -> bool {
        let mut caller = fits.first;
        self.conditions.iter().all(|condition| match *condition {
            Condition::State(wanted) => state == wanted,
            Condition::In(group) => fits.kernel.iter().any(|function| function[group]),
            Condition::User(group) => fits.user.contains(&group),
            Condition::At(group) => {
                let inner = fits.kernel[fits.first..].iter();
                let run = inner.take_while(|function| function[group]).count();
                caller = fits.first + run;
                run > 0
            }
            Condition::By(group) => fits.kernel.get(caller).is_some_and(|function| function[group]),
        })
    }
}

impl Pattern {
    fn fits(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&self.text) } else { name == self.text }
    }
}

/// Functions at the inner end of every stack that leaves a CPU: the scheduler, and the tracer that looked on.
pub(crate) fn is_scheduler(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "schedule",
        "__schedule",
        "schedule_preempt_disabled",
        "schedule_timeout",
        "schedule_timeout_uninterruptible",
        "io_schedule",
        "io_schedule_timeout",
        "schedule_hrtimeout_range",
        "schedule_hrtimeout_range_clock",
        "schedule_idle",
        "schedule_rtlock",
        "rt_mutex_schedule",
        "__schedule_loop",
        "perf_swevent_event",
        "perf_tp_event",
        "do_perf_sw_event",
        "preempt_schedule",
        "preempt_schedule_common",
        "preempt_schedule_notrace",
        "preempt_schedule_irq",
        "preempt_schedule_thunk",
        "__cond_resched",
        "_cond_resched",
        "__traceiter_contention_begin",
        "__traceiter_contention_end",
    ];
    const PREFIXES: &[&str] = &[
        "finish_task_switch",
        "bpf_prog_",
        "bpf_trace_run",
        "bpf_trampoline_",
        "__bpf_trace_",
        "__traceiter_",
        "perf_trace_",
        "trace_event_raw_event_",
        "__perf_event_",
        "ftrace_",
    ];
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn parse(text: &str) -> Result<Rules, RuleError> {
    let mut lists = parse_lists(BUILT_IN);
    lists.extend(parse_lists(text));
    let mut rules = Rules { rules: Vec::new(), groups: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '@']) {
            continue;
        }
        let rule = parse_rule(line, &lists, &mut rules.groups);
        rules.rules.push(rule.map_err(|reason| RuleError { line: index + 1, reason })?);
    }
    Ok(rules)
}

fn parse_lists(text: &str) -> BTreeMap<&str, &str> {
    let definitions = text.lines().filter_map(|line| line.trim().strip_prefix('@'));
    definitions
        .filter_map(|line| line.split_once('='))
        .map(|(name, list)| (name.trim(), list.trim()))
        .collect()
}

fn parse_rule(
    line: &str,
    lists: &BTreeMap<&str, &str>,
    groups: &mut Vec<Vec<Pattern>>,
) -> Result<Rule, String> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [site, kind, conditions, kernels, source] = columns[..] else {
        return Err(format!("{} columns instead of 5, separated by |", columns.len()));
    };
    let conditions = conditions.split_whitespace().map(|text| parse_condition(text, lists, groups));
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    if conditions.is_empty() {
        return Err("a rule without a condition fits everything".into());
    }
    let (kind, known) = match kind.strip_suffix(":known") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let by_program = conditions.iter().any(|condition| matches!(condition, Condition::User(_)));
    Ok(Rule {
        site: site.to_owned(),
        kind: parse_kind(kind)?,
        known_lock: known || by_program,
        kernels: kernels.to_owned(),
        source: source.to_owned(),
        conditions,
    })
}

fn parse_kind(text: &str) -> Result<WaitKind, String> {
    let (cause, mode) = text.split_once(':').unwrap_or((text, ""));
    let mode = match mode {
        "" => None,
        "read" => Some(LockMode::Read),
        "write" => Some(LockMode::Write),
        _ => return Err(format!("`{mode}` is no mode of a lock: read or write")),
    };
    match cause {
        "idle" => Ok(WaitKind::Idle),
        "-" => Ok(WaitKind::Other),
        _ => Cause::from_word(cause)
            .map(|cause| WaitKind::Harm(cause, mode))
            .ok_or_else(|| format!("`{cause}` is no cause")),
    }
}

fn parse_condition(
    text: &str,
    lists: &BTreeMap<&str, &str>,
    groups: &mut Vec<Vec<Pattern>>,
) -> Result<Condition, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no condition"))?;
    if key == "state" {
        return Ok(Condition::State(match value {
            "S" => TaskState::Sleeping,
            "D" => TaskState::Uninterruptible,
            "T" => TaskState::Stopped,
            "t" => TaskState::Traced,
            "I" => TaskState::Idle,
            _ => return Err(format!("`{value}` is no state: S D T t I")),
        }));
    }
    let mut patterns = Vec::new();
    for name in value.split(',') {
        match name.strip_prefix('@') {
            Some(list) => {
                let names = lists.get(list).ok_or_else(|| format!("no list is called @{list}"))?;
                patterns.extend(names.split(',').map(Pattern::parse));
            }
            None => patterns.push(Pattern::parse(name)),
        }
    }
    let group = groups.len();
    groups.push(patterns);
    match key {
        "at" => Ok(Condition::At(group)),
        "by" => Ok(Condition::By(group)),
        "in" => Ok(Condition::In(group)),
        "user" => Ok(Condition::User(group)),
        _ => Err(format!("`{key}` is no condition: at, by, in, user or state")),
    }
}

impl Pattern {
    fn parse(text: &str) -> Self {
        match text.trim().strip_suffix('*') {
            Some(prefix) => Self { text: prefix.to_owned(), prefix: true },
            None => Self { text: text.trim().to_owned(), prefix: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::Mode;

    use super::*;

    fn site(stack: &str, state: TaskState) -> Option<(String, WaitKind)> {
        let mut capture = Capture::default();
        let frames: Vec<_> =
            stack.split(" < ").map(|name| capture.frames.intern_name(Mode::Kernel, name)).collect();
        let stack = capture.stacks.intern(&frames);
        let rules = Rules::built_in();
        let rule = Matcher::new(&capture, &rules).rule(Some(stack), state)?;
        Some((rule.site.clone(), rule.kind))
    }

    /// Functions behind a `|` are the program's.
    fn program_site(stack: &str) -> Option<(String, WaitKind, bool)> {
        let (kernel, user) = stack.split_once(" | ").unwrap_or((stack, ""));
        let mut capture = Capture::default();
        let mut frames = Vec::new();
        for (mode, names) in [(Mode::Kernel, kernel), (Mode::User, user)] {
            let names = names.split(" < ");
            frames.extend(names.map(|name| capture.frames.intern_name(mode, name)));
        }
        let stack = capture.stacks.intern(&frames);
        let rules = Rules::built_in();
        let rule = Matcher::new(&capture, &rules).rule(Some(stack), TaskState::Sleeping)?;
        Some((rule.site.clone(), rule.kind, rule.known_lock))
    }

    fn kind(stack: &str) -> Option<WaitKind> {
        site(stack, TaskState::Uninterruptible).map(|site| site.1)
    }

    #[test]
    fn the_whole_table_can_be_read() {
        let rules = parse(BUILT_IN).unwrap();
        assert!(rules.rules().len() > 40);
        assert!(
            rules.rules().iter().all(|rule| !rule.kernels.is_empty() && !rule.source.is_empty())
        );
    }

    #[test]
    fn mmap_lock_is_told_from_other_rwsems_by_who_takes_it() {
        let write = Some(WaitKind::Harm(Cause::MmapLock, Some(LockMode::Write)));
        let read = Some(WaitKind::Harm(Cause::MmapLock, Some(LockMode::Read)));
        for (stack, expected) in [
            // 6.18, x86-64
            (
                "__schedule < schedule < schedule_preempt_disabled < rwsem_down_write_slowpath < down_write_killable < __vm_munmap < __x64_sys_munmap",
                write,
            ),
            (
                "__schedule < schedule < rwsem_down_read_slowpath < down_read_killable < lock_mm_and_find_vma < do_user_addr_fault < exc_page_fault",
                read,
            ),
            (
                "schedule < rwsem_down_write_slowpath.isra.0 < down_write_killable < vm_mmap_pgoff < ksys_mmap_pgoff",
                write,
            ),
            // 4.14
            (
                "__schedule < schedule < rwsem_down_read_failed < call_rwsem_down_read_failed < down_read < __do_page_fault < do_page_fault",
                read,
            ),
            (
                "__schedule < schedule < rwsem_down_write_failed_killable < call_rwsem_down_write_failed_killable < down_write_killable < SyS_munmap < entry_SYSCALL_64_fastpath",
                write,
            ),
            // arm64
            (
                "__schedule < schedule < rwsem_down_read_slowpath < down_read < do_page_fault < do_translation_fault < do_mem_abort < el0_da",
                read,
            ),
            // an inode's rwsem under a page fault is not mmap_lock
            (
                "schedule < rwsem_down_read_slowpath < down_read < ext4_map_blocks < filemap_fault < do_user_addr_fault < exc_page_fault",
                Some(WaitKind::Harm(Cause::Rwsem, Some(LockMode::Read))),
            ),
            (
                "schedule < rwsem_down_write_slowpath < down_write < register_netdevice_notifier",
                Some(WaitKind::Harm(Cause::Rwsem, Some(LockMode::Write))),
            ),
        ] {
            assert_eq!(kind(stack), expected, "{stack}");
        }
    }

    #[test]
    fn other_waits_have_their_own_sites() {
        for (stack, cause) in [
            (
                "schedule < futex_wait_queue < __futex_wait < futex_wait < do_futex < __x64_sys_futex",
                Cause::Futex,
            ),
            (
                "schedule < io_schedule < folio_wait_bit_common < filemap_fault < __do_fault < do_read_fault",
                Cause::PageFaultIo,
            ),
            (
                "schedule < jbd2_log_wait_commit < ext4_sync_file < __x64_sys_fsync",
                Cause::FsJournal,
            ),
            ("schedule < do_signal_stop < get_signal", Cause::Stopped),
            ("schedule < schedule_preempt_disabled < __mutex_lock < pipe_write", Cause::Mutex),
            (
                "schedule < io_schedule < folio_wait_bit_common < do_swap_page < handle_mm_fault",
                Cause::Swap,
            ),
        ] {
            assert_eq!(kind(stack), Some(WaitKind::Harm(cause, None)), "{stack}");
        }
        assert_eq!(
            kind("schedule < schedule_hrtimeout_range < ep_poll < do_epoll_wait"),
            Some(WaitKind::Idle)
        );
        assert_eq!(kind("schedule < something_new"), None);
    }

    #[test]
    fn functions_of_programs_tell_a_lock_from_rest() {
        const EPOLL: &str = "__schedule < schedule < schedule_hrtimeout_range < do_epoll_wait < __x64_sys_epoll_wait";
        const FUTEX: &str =
            "__schedule < schedule < futex_wait_queue < __futex_wait < futex_wait < do_futex";
        let lock = WaitKind::Harm(Cause::Futex, None);
        for (kernel, user, site, kind, by_program) in [
            // PostgreSQL 15 of Debian 12, as recorded
            (
                EPOLL,
                "epoll_wait < WaitLatch < ProcSleep < LockAcquireExtended < LockRelationOid",
                "PostgreSQL lock",
                lock,
                true,
            ),
            (
                EPOLL,
                "epoll_wait < secure_read < pq_getbyte < PostgresMain",
                "epoll",
                WaitKind::Idle,
                false,
            ),
            (
                FUTEX,
                "sem_wait < PGSemaphoreLock < LWLockAcquire",
                "PostgreSQL light-weight lock",
                lock,
                true,
            ),
            (
                FUTEX,
                "pthread_cond_timedwait < take_gil < PyEval_RestoreThread",
                "Python's interpreter lock",
                lock,
                true,
            ),
            (
                FUTEX,
                "std::sys::sync::mutex::futex::Mutex::lock_contended < serve",
                "mutex of the program",
                lock,
                true,
            ),
            (FUTEX, "pthread_cond_wait < worker", "futex", lock, false),
            // Linux 6.18, as recorded
            (
                "__schedule < rt_mutex_schedule < rt_mutex_slowlock_block.constprop.0 < rt_mutex_wait_proxy_lock < futex_lock_pi < do_futex",
                "planner",
                "priority-inheritance lock",
                lock,
                true,
            ),
            (
                "__schedule < schedule < schedule_hrtimeout_range_clock < __do_semtimedop < do_semtimedop",
                "semop",
                "SysV semaphore",
                lock,
                false,
            ),
        ] {
            let found = program_site(&format!("{kernel} | {user}"));
            assert_eq!(found, Some((site.to_owned(), kind, by_program)), "{user}");
        }
        // A function of the program that is called like one of the kernel is none of the kernel's.
        assert_eq!(program_site("schedule < something_new | futex_wait_queue"), None);
    }

    #[test]
    fn who_waits_behind_a_full_queue_or_for_a_core_is_told_from_rest() {
        let network = Some(WaitKind::Harm(Cause::Network, None));
        let full =
            |what: &str| (format!("reader of a full {what}"), WaitKind::Harm(Cause::Network, None));
        let asleep = |stack: &str| site(stack, TaskState::Sleeping);
        let wait = "__schedule < schedule < schedule_hrtimeout_range_clock";
        assert_eq!(
            asleep(&format!("{wait} < wq_sleep < do_mq_timedsend")),
            Some(full("message queue"))
        );
        assert_eq!(
            asleep(
                "__schedule < schedule < schedule_timeout < wait_woken < n_tty_write < file_tty_write"
            ),
            Some(full("terminal"))
        );
        assert_eq!(
            asleep(&format!("{wait} < wq_sleep < do_mq_timedreceive")),
            Some(("message queue".to_owned(), WaitKind::Idle))
        );
        assert_eq!(kind("schedule < anon_pipe_write"), network);
        // Linux 6.18, as recorded; who has ended leaves from the same function for good.
        let exits = "__schedule < schedule < do_exit < do_group_exit < get_signal";
        let stopped = Some(WaitKind::Harm(Cause::Stopped, None));
        assert_eq!(site(exits, TaskState::Idle).map(|site| site.1), stopped);
        assert_eq!(site(exits, TaskState::Dead).map(|site| site.1), Some(WaitKind::Other));
    }

    #[test]
    fn a_users_rules_come_first_and_bad_ones_are_named() {
        let rules = Rules::built_in()
            .extended("my lock | mutex | at=my_lock* | 6.1 | drivers/my.c\n")
            .unwrap();
        assert_eq!(rules.rules()[0].site, "my lock");
        assert_eq!(rules.rules().len(), Rules::built_in().rules().len() + 1);
        for (text, word) in [
            ("a | b", "columns"),
            ("a | nonsense | at=x | 1 | f.c", "no cause"),
            ("\na | mutex | on=x | 1 | f.c", "line 2"),
            ("a | mutex | at=@none | 1 | f.c", "@none"),
            ("a | mutex |  | 1 | f.c", "without a condition"),
        ] {
            let error = Rules::built_in().extended(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
