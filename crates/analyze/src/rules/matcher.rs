//! Which rule fits a stack.
//!
//! Functions are matched once per name, and rules once per kernel stack, so that a capture with many stacks costs hardly more than
//! one with few.

use coldcase_ingest::capture::{Capture, FrameId, Mode, SeededMap, StackId, TaskState};
use rustc_hash::FxHashMap;

use super::{Condition, Pattern, Rule, Rules};
use crate::names;

/// Applies rules to the stacks of one capture, each name and each stack once.
pub(crate) struct Matcher<'a> {
    capture: &'a Capture,
    rules: &'a Rules,
    groups_of_name: SeededMap<&'a str, Vec<bool>>,
    /// Groups that name functions of programs, and whether the innermost has to be in it.
    user_groups: Vec<(usize, bool)>,
    /// What a user frame is, by its number, once it was asked for.
    of_frame: Vec<Option<UserFrame>>,
    /// By all that rules ask for.
    of_asked: SeededMap<Asked<'a>, Option<usize>>,
    of_stack: FxHashMap<(StackId, TaskState), Option<usize>>,
}

/// The kernel's frames of a stack, the groups of its user functions, in order, and how its thread waited.
type Asked<'a> = (&'a [FrameId], Vec<usize>, TaskState);

/// What rules ask of a function of a program.
#[derive(Clone, Default)]
struct UserFrame {
    /// Groups that it is in wherever it stands ...
    anywhere: Box<[usize]>,
    /// ... and where it is the innermost.
    innermost: Box<[usize]>,
    /// It only makes the system call.
    calls: bool,
}

impl<'a> Matcher<'a> {
    pub fn new(capture: &'a Capture, rules: &'a Rules) -> Self {
        let conditions = rules.rules.iter().flat_map(|rule| &rule.conditions);
        let user_groups = conditions.filter_map(|condition| match *condition {
            Condition::User(group) => Some((group, false)),
            Condition::UserAt(group) => Some((group, true)),
            _ => None,
        });
        Self {
            capture,
            rules,
            groups_of_name: SeededMap::default(),
            user_groups: user_groups.collect(),
            of_frame: vec![None; capture.frames.len()],
            of_asked: SeededMap::default(),
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
        let Some(stack) = stack else { return self.first_match(&(&[], Vec::new(), state)) };
        if let Some(&number) = self.of_stack.get(&(stack, state)) {
            return number;
        }
        let asked = self.asked(stack, state);
        let number = match self.of_asked.get(&asked) {
            Some(&number) => number,
            None => {
                let number = self.first_match(&asked);
                self.of_asked.insert(asked, number);
                number
            }
        };
        self.of_stack.insert((stack, state), number);
        number
    }

    fn asked(&mut self, stack: StackId, state: TaskState) -> Asked<'a> {
        let capture = self.capture;
        let frames = capture.stacks.frames(stack);
        let is_kernel = |&id: &FrameId| capture.frames.get(id).mode == Mode::Kernel;
        let kernel = frames.iter().rposition(is_kernel).map_or(0, |last| last + 1);
        let mut groups = Vec::new();
        let mut is_innermost = true;
        for &id in frames {
            let (rules, user_groups) = (self.rules, &self.user_groups);
            let frame = capture.frames.get(id);
            let of_frame = self.of_frame[id.index()].get_or_insert_with(|| {
                let name = frame.function().filter(|_| frame.mode == Mode::User);
                name.map_or_else(UserFrame::default, |name| UserFrame::of(name, rules, user_groups))
            });
            groups.extend_from_slice(&of_frame.anywhere);
            if is_innermost && frame.mode == Mode::User {
                groups.extend_from_slice(&of_frame.innermost);
                is_innermost = of_frame.calls;
            }
        }
        groups.sort_unstable();
        groups.dedup();
        (&frames[..kernel], groups, state)
    }

    fn first_match(&mut self, (frames, user, state): &Asked<'a>) -> Option<usize> {
        let functions: Vec<&'a str> = names::kernel_of(self.capture, frames).collect();
        for name in &functions {
            if !self.groups_of_name.contains_key(name) {
                let groups = self.rules.groups.iter();
                let fits =
                    groups.map(|group| group.iter().any(|pattern| pattern.fits(name))).collect();
                self.groups_of_name.insert(name, fits);
            }
        }
        let kernel: Vec<&[bool]> =
            functions.iter().map(|name| self.groups_of_name[name].as_slice()).collect();
        let first =
            functions.iter().position(|name| !is_scheduler(name)).unwrap_or(functions.len());
        let fits = Fits { kernel, first, user };
        self.rules.rules.iter().position(|rule| rule.fits(&fits, *state))
    }
}

impl UserFrame {
    fn of(name: &str, rules: &Rules, user_groups: &[(usize, bool)]) -> Self {
        let plain = names::of_program(name);
        let groups = |innermost| {
            let groups =
                user_groups.iter().filter(|&&(_, at)| at == innermost).map(|&(group, _)| group);
            groups.filter(|&group| rules.groups[group].iter().any(|it| it.fits(&plain))).collect()
        };
        Self { anywhere: groups(false), innermost: groups(true), calls: names::calls_futex(name) }
    }
}

/// Of which groups a stack's functions are.
struct Fits<'f> {
    /// `kernel[f][g]`: whether kernel function `f`, innermost first, is in group `g`.
    kernel: Vec<&'f [bool]>,
    /// The innermost kernel function that is not the scheduler's.
    first: usize,
    /// Groups of its user functions.
    user: &'f [usize],
}

impl Rule {
    fn fits(&self, fits: &Fits<'_>, state: TaskState) -> bool {
        let mut caller = fits.first;
        self.conditions.iter().all(|condition| match *condition {
            Condition::State(wanted) => state == wanted,
            Condition::In(group) => fits.kernel.iter().any(|function| function[group]),
            Condition::User(group) | Condition::UserAt(group) => fits.user.contains(&group),
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
