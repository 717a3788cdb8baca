//! Which rule fits a stack.
//!
//! Functions are matched once per name, not once per stack, so that a capture with many stacks costs no more than one
//! with few.

use coldcase_ingest::capture::{Capture, SeededMap, StackId, TaskState};
use rustc_hash::FxHashMap;

use super::{Condition, Pattern, Rule, Rules};
use crate::names;

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
        self.number(stack, state).map(|number| rules.rule(number))
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
