//! From events to what each thread did: goes through them in order of time, and keeps what each thread does now.
//!
//! Reality differs from the drawing in [`crate::states`] in known ways, and each has its place below: a switch-in can be missing
//! on a whole CPU, so any event of a thread's own proves that it runs, and the previous switch on that CPU says
//! since when; a wait can have begun before the recording, or not have ended at its end; a waking can come
//! before the switch-out that it cancels (then `prev_state` already says runnable).

use coldcase_ingest::capture::{
    Capture, CpuId, Nanos, Span, StackId, Switch, TaskState, ThreadId, Timestamp, Wakeup,
    WakeupKind,
};

use crate::losses;
use crate::states::cpus::{Cpu, Cpus};
use crate::states::life::Life;
use crate::states::own_events::OwnEvents;
use crate::states::scribe::Scribe;
use crate::states::{Doing, Wait, WaitId, WakeupId};

/// Whether every switch of the machine was recorded: then the idle tasks leave their CPUs too, unless no CPU was
/// ever idle, and then the recording command says so.
fn comings_recorded(capture: &Capture) -> bool {
    let is_idle_task = |thread: ThreadId| capture.threads.get(thread).is_idle_task();
    let all_cpus = |word: &String| {
        word == "--all-cpus"
            || word.starts_with('-') && !word.starts_with("--") && word.contains('a')
    };
    // Threads leave for CPUs that were not recorded, and come back from them.
    let some_cpus = |word: &String| word.starts_with("-C") || word.starts_with("--cpu");
    let command = &capture.origin.command;
    !command.iter().any(some_cpus)
        && (command.iter().any(all_cpus)
            || capture.switches.iter().any(|switch| switch.out.is_some_and(is_idle_task)))
}

#[derive(Clone, Copy)]
enum Now {
    /// Not seen yet.
    Unseen,
    Running {
        since: Timestamp,
    },
    Off {
        since: Timestamp,
        state: TaskState,
        stack: Option<StackId>,
        woken: Option<(Timestamp, WakeupId)>,
    },
    Ended,
}

/// What is known when all events were gone through, besides what was written down.
pub(super) struct Told {
    pub leaves: Vec<bool>,
    pub waits: Vec<Wait>,
    pub cpus: Cpus,
    pub comings_recorded: bool,
}

pub(super) struct Machine<'a> {
    capture: &'a Capture,
    now: Vec<Now>,
    /// When each thread last did something of its own.
    seen: Vec<Timestamp>,
    scribe: &'a mut Scribe,
    leaves: Vec<bool>,
    waits: Vec<Wait>,
    cpus: Cpus,
    span: Span,
    is_idle_task: Vec<bool>,
    comings_recorded: bool,
}

/// Lives with room for what may happen, so that they need not grow, which would touch twice the memory.
pub(super) fn empty_lives(capture: &Capture) -> Vec<Life> {
    let mut slices = vec![0_usize; capture.threads.len()];
    for switch in &capture.switches {
        let Some(out) = switch.out else { continue };
        // It ran and waits for a CPU, or it ran, is blocked and waits for a CPU then.
        slices[out.index()] += if switch.state.is_runnable() { 2 } else { 3 };
    }
    slices.into_iter().map(Life::with_capacity).collect()
}

impl<'a> Machine<'a> {
    pub fn new(capture: &'a Capture, scribe: &'a mut Scribe) -> Self {
        let threads = capture.threads.len();
        Self {
            capture,
            now: vec![Now::Unseen; threads],
            seen: vec![Timestamp(0); threads],
            leaves: vec![false; threads],
            scribe,
            // Nobody waits more often than that, and room that is not used is never touched.
            waits: Vec::with_capacity(capture.switches.len() + threads),
            cpus: Cpus::default(),
            span: capture.whole(),
            is_idle_task: capture.threads.iter().map(|(_, row)| row.is_idle_task()).collect(),
            comings_recorded: comings_recorded(capture),
        }
    }

    /// Goes through all events.
    pub fn run(mut self) -> Told {
        let capture = self.capture;
        let mut proofs = OwnEvents::new(capture);
        let mut woken = 0;
        for switch in &capture.switches {
            let wakeups = capture.wakeups[woken..].iter();
            for wakeup in wakeups.take_while(|wakeup| wakeup.time <= switch.time) {
                self.wake(wakeup, WakeupId::from_index(woken));
                woken += 1;
            }
            proofs.before(switch.time, |time, thread, cpu| self.prove_running(thread, time, cpu));
            self.switch(switch);
        }
        for (index, wakeup) in capture.wakeups.iter().enumerate().skip(woken) {
            self.wake(wakeup, WakeupId::from_index(index));
        }
        proofs
            .before(Timestamp(u64::MAX), |time, thread, cpu| self.prove_running(thread, time, cpu));
        self.finish()
    }

    fn switch(&mut self, switch: &Switch) {
        if let Some(cpu) = switch.cpu {
            let is_idle = |thread: Option<ThreadId>| thread.is_some_and(|id| self.is_idle_task(id));
            let (idles, wakes) = (is_idle(switch.into), is_idle(switch.out));
            self.cpus.begin(cpu, switch.time, idles, wakes);
        }
        self.note_lost_leave(switch);
        if let Some(out) = switch.out.filter(|&out| !self.is_idle_task(out)) {
            self.leave(out, switch);
        }
        if let Some(into) = switch.into.filter(|&into| !self.is_idle_task(into)) {
            self.come(into, switch);
        }
        if let Some(cpu) = switch.cpu {
            self.cpus.end(cpu, switch.time, switch.into);
        }
    }

    /// A CPU runs one thread at a time: if another leaves than the one that came, the leaving of that one was lost.
    /// It ran at least until it was last seen to; what it did then is unknown. Where only some processes were
    /// recorded, the others' leaving never is.
    fn note_lost_leave(&mut self, switch: &Switch) {
        if !self.comings_recorded {
            return;
        }
        let Some((came, Some(gone))) = self.last_switch_on(switch.cpu) else { return };
        if switch.out.is_none_or(|out| out == gone) || self.is_idle_task(gone) {
            return;
        }
        if let Now::Running { since } = self.now[gone.index()]
            && since == came
        {
            let seen = self.seen[gone.index()].max(since);
            self.push(gone, Span::new(since, seen), Doing::Running);
            let (state, stack, woken) = (TaskState::Unknown, None, None);
            self.now[gone.index()] = Now::Off { since: seen, state, stack, woken };
        }
    }

    fn leave(&mut self, thread: ThreadId, switch: &Switch) {
        self.leaves[thread.index()] = true;
        let since = match self.now[thread.index()] {
            Now::Running { since } => Some(since),
            Now::Unseen | Now::Ended => self.came_unseen(thread, self.beginning_of(thread), switch),
            // Who was taken off its CPU came back, who knows when: it is taken to have run on.
            Now::Off { since, state, .. } if state.is_runnable() && !self.comings_recorded => {
                Some(since)
            }
            // Its switch-in is missing.
            Now::Off { since, woken, .. } => {
                let not_before = woken.map_or(since, |(woken, _)| woken.max(since));
                let came = self.came_unseen(thread, not_before, switch);
                // Woken, but who knows when it ran: what lies between stays unknown.
                let until = came.or(woken.map(|_| not_before)).unwrap_or(switch.time);
                self.close(thread, until);
                came
            }
        };
        if let Some(since) = since {
            self.push(thread, Span::new(since, switch.time), Doing::Running);
        }
        self.now[thread.index()] = match switch.state {
            TaskState::Dead => Now::Ended,
            state => Now::Off { since: switch.time, state, stack: switch.stack, woken: None },
        };
    }

    /// When a thread came to a CPU that it now leaves, if its coming was not recorded: with the CPU's previous
    /// switch if that was to it, or if nothing is known of the CPU yet. If that switch was to another thread (to
    /// the idle task, as a rule), then only that it was later: `None`, unless it was woken after that.
    fn came_unseen(
        &self,
        thread: ThreadId,
        not_before: Timestamp,
        switch: &Switch,
    ) -> Option<Timestamp> {
        match self.last_switch_on(switch.cpu) {
            // For how long it was away is not known. What it left for is, and stands in its life.
            _ if !self.comings_recorded => Some(not_before.plus(Nanos(1)).min(switch.time)),
            None => Some(not_before),
            Some((came, into)) if into.is_none_or(|into| into == thread) => {
                Some(came.max(not_before))
            }
            Some((came, _)) if came < not_before => Some(not_before),
            Some(_) => None,
        }
    }

    fn come(&mut self, thread: ThreadId, switch: &Switch) {
        let time = switch.time;
        let runnable_since = match self.now[thread.index()] {
            Now::Running { .. } => return,
            Now::Off { since, state, .. } if state.is_runnable() => Some(since),
            Now::Off { woken: Some((woken, _)), .. } => Some(woken),
            _ => None,
        };
        match runnable_since {
            // It may have come to this CPU before anything of the CPU was recorded.
            Some(since) if self.is_beginning_of_cpu(switch, since) => self.close(thread, since),
            _ => self.close(thread, time),
        }
        self.now[thread.index()] = Now::Running { since: time };
    }

    fn is_beginning_of_cpu(&self, switch: &Switch, since: Timestamp) -> bool {
        const SOON: Nanos = Nanos(50_000_000);
        let cpu = switch.cpu.and_then(|cpu| self.cpus.get(cpu));
        cpu.is_some_and(|&Cpu { first, .. }| since < first && switch.time <= first.plus(SOON))
    }

    /// When a CPU last changed hands, and to whom.
    fn last_switch_on(&self, cpu: Option<CpuId>) -> Option<(Timestamp, Option<ThreadId>)> {
        self.cpus.get(cpu?)?.last
    }

    fn wake(&mut self, wakeup: &Wakeup, index: WakeupId) {
        let Wakeup { wakee: thread, time, kind, .. } = *wakeup;
        if self.is_idle_task(thread) {
            return;
        }
        match &mut self.now[thread.index()] {
            Now::Off { woken, state, .. } if !state.is_runnable() => match *woken {
                // sched_wakeup repeats what sched_waking has already told, and knows less.
                Some((_, known))
                    if kind != WakeupKind::Waking
                        && known.of(self.capture).kind == WakeupKind::Waking => {}
                _ => *woken = Some((time, index)),
            },
            Now::Unseen => {
                let since = self.beginning_of(thread);
                // A new thread's first waking makes it runnable; any other ends a sleep that nobody saw begin.
                let (state, woken) = match kind {
                    WakeupKind::New => (TaskState::Runnable, None),
                    _ => (TaskState::Unknown, Some((time, index))),
                };
                self.now[thread.index()] = Now::Off { since, state, stack: None, woken };
            }
            _ => {}
        }
    }

    /// A thread did something of its own, so it runs, whatever it was thought to do.
    fn prove_running(&mut self, thread: ThreadId, time: Timestamp, cpu: Option<CpuId>) {
        // A CPU's idle task is sampled and interrupted too, and never waits.
        if self.is_idle_task(thread) {
            return;
        }
        self.seen[thread.index()] = time;
        let on_cpu = self.last_switch_on(cpu);
        let since = match self.now[thread.index()] {
            Now::Off { since, .. } => since,
            // What it did before is unknown, unless the CPU has not changed hands since the beginning.
            Now::Unseen => {
                let from_the_beginning = cpu.is_some() && on_cpu.is_none();
                let since = if from_the_beginning { self.beginning_of(thread) } else { time };
                self.now[thread.index()] = Now::Running { since };
                return;
            }
            Now::Running { .. } | Now::Ended => return,
        };
        if time <= since {
            return;
        }
        let to_it =
            on_cpu.filter(|(came, into)| *came >= since && into.is_none_or(|into| into == thread));
        let came = to_it.map_or(time, |(came, _)| came);
        self.close(thread, came);
        self.now[thread.index()] = Now::Running { since: came };
    }

    /// A thread runs again at `time`: what it did until then is now known.
    fn close(&mut self, thread: ThreadId, time: Timestamp) {
        match self.now[thread.index()] {
            Now::Off { since, state, stack, .. } if state.is_runnable() => {
                self.push(thread, Span::new(since, time), Doing::Runnable(stack));
            }
            Now::Off { since, state, stack, woken } => {
                let open_start = since <= self.span.start && state == TaskState::Unknown;
                let (blocked_until, wakeup) = match woken {
                    Some((woken, index)) => (woken.min(time).max(since), Some(index)),
                    None => (time, None),
                };
                let span = Span::new(since, blocked_until);
                let wait = Wait { thread, span, open_start, open_end: false, state, stack, wakeup };
                self.push_wait(wait);
                self.push(thread, Span::new(blocked_until, time), Doing::Runnable(None));
            }
            Now::Unseen => self.close_unseen(thread, time),
            Now::Running { .. } | Now::Ended => {}
        }
    }

    /// The first that is seen of a thread is that it comes to a CPU.
    fn close_unseen(&mut self, thread: ThreadId, time: Timestamp) {
        let since = self.beginning_of(thread);
        let span = Span::new(since, time);
        let born = self.capture.threads.get(thread).born;
        if born.is_some_and(|born| self.span.contains(born)) {
            // A new thread waits for its first turn; if that seems to take long, an earlier turn is missing.
            const FIRST_TURN: Nanos = Nanos(100_000_000);
            if span.duration() <= FIRST_TURN {
                self.push(thread, span, Doing::Runnable(None));
            }
            return;
        }
        // Nobody is seen to have woken it, but a waking can be missing: what it waited for, if anything, only
        // its next events can tell.
        let (state, stack, wakeup) = (TaskState::Unknown, None, None);
        self.push_wait(Wait {
            thread,
            span,
            open_start: true,
            open_end: false,
            state,
            stack,
            wakeup,
        });
    }

    fn finish(mut self) -> Told {
        let end = self.span.end;
        let last_loss = losses::last(self.capture);
        for index in 0..self.now.len() {
            let thread = ThreadId::from_index(index);
            self.end_life(thread, last_loss);
            match self.now[index] {
                Now::Running { since } => self.push(thread, Span::new(since, end), Doing::Running),
                Now::Off { since, state, stack, woken: None } if !state.is_runnable() => {
                    let open_start = since <= self.span.start && state == TaskState::Unknown;
                    let span = Span::new(since, end);
                    let wakeup = None;
                    self.push_wait(Wait {
                        thread,
                        span,
                        open_start,
                        open_end: true,
                        state,
                        stack,
                        wakeup,
                    });
                }
                Now::Off { state, .. } if state.is_runnable() => self.close(thread, end),
                // Woken, but never seen to run: since when it did is unknown.
                Now::Off { woken: Some((woken, _)), .. } => self.close(thread, woken),
                Now::Off { .. } => {}
                Now::Unseen | Now::Ended => {}
            }
        }
        let Self { leaves, waits, cpus, comings_recorded, .. } = self;
        Told { leaves, waits, cpus, comings_recorded }
    }

    /// A thread that has ended neither waits nor wants a CPU when the recording ends. Its end is an event of its own
    /// (`do_exit`, `kernel/exit.c`), so it ran then, and came back before if it was away. It may still wait on its way out, for
    /// `mmap_lock` (`exit_mm`); where events were lost, its last switch was, more likely.
    fn end_life(&mut self, thread: ThreadId, last_loss: Option<Timestamp>) {
        let ended = self.capture.threads.get(thread).ended;
        // A part of a recording may end before.
        let Some(ended) = ended.filter(|&ended| ended <= self.span.end) else { return };
        let at = thread.index();
        if let Now::Off { since, .. } = self.now[at]
            && since < ended
        {
            self.close(thread, ended);
            self.now[at] = Now::Running { since: ended };
        }
        if last_loss.is_none_or(|last| last < ended) {
            return;
        }
        if let Now::Running { since } = self.now[at] {
            self.push(thread, Span::new(since, since.max(ended)), Doing::Running);
        }
        self.now[at] = Now::Ended;
    }

    fn push_wait(&mut self, wait: Wait) {
        let id = WaitId::from_index(self.waits.len());
        self.waits.push(wait);
        self.push(wait.thread, wait.span, Doing::Blocked(id));
    }

    fn push(&mut self, thread: ThreadId, span: Span, doing: Doing) {
        self.scribe.push(thread, span, doing);
    }

    fn beginning_of(&self, thread: ThreadId) -> Timestamp {
        let born = self.capture.threads.get(thread).born;
        born.map_or(self.span.start, |born| born.max(self.span.start))
    }

    fn is_idle_task(&self, thread: ThreadId) -> bool {
        self.is_idle_task[thread.index()]
    }
}

#[cfg(test)]
mod tests {
    use coldcase_ingest::capture::{Loss, LossKind};

    use super::*;
    use crate::script;
    use crate::states::{Slice, ThreadStates};

    fn states(script: &str) -> (Capture, ThreadStates) {
        let capture = script::record(Capture::default(), script);
        let states = ThreadStates::new(&capture);
        (capture, states)
    }

    fn drawn(script: &str, thread: char) -> String {
        let (mut capture, states) = states(script);
        let thread = script::thread(&mut capture, &thread.to_string());
        drawn_of(&states, thread)
    }

    fn drawn_of(states: &ThreadStates, thread: ThreadId) -> String {
        let slices = states.of(thread).iter().map(|slice| {
            let letter = match slice.doing {
                Doing::Running => "run".to_owned(),
                Doing::Runnable(_) => "cpu".to_owned(),
                Doing::Blocked(id) => {
                    let wait = states.wait(id);
                    let open = |open| if open { "~" } else { "" };
                    format!("{}blocked{}", open(wait.open_start), open(wait.open_end))
                }
            };
            format!("{}-{} {letter}", slice.span.start.0, slice.span.end.0)
        });
        slices.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_wait_is_split_at_the_waking() {
        let script = "10 a>b D, 30 w:a, 35 b>a R+, 50 a>b S";
        assert_eq!(drawn(script, 'a'), "0-10 run, 10-30 blocked, 30-35 cpu, 35-50 run");
        assert_eq!(drawn(script, 'b'), "0-10 ~blocked, 10-35 run, 35-50 cpu");
    }

    #[test]
    fn a_preempted_thread_is_not_blocked() {
        assert_eq!(
            drawn("10 a>b R+, 20 w:c, 25 b>a S, 30 a>b S", 'a'),
            "0-10 run, 10-25 cpu, 25-30 run"
        );
    }

    #[test]
    fn waits_that_the_recording_cuts_off_are_kept() {
        assert_eq!(
            drawn("5 x>- S, 20 w:a, 22 ->a S, 30 a>- S, 50 w:x", 'a'),
            "0-20 ~blocked, 20-22 cpu, 22-30 run, 30-50 blocked~"
        );
        assert_eq!(drawn("5 x>- S, 22 ->a S, 30 a>- S", 'a'), "0-22 ~blocked, 22-30 run");
    }

    #[test]
    fn a_missing_switch_in_is_made_good_by_what_else_is_known() {
        let of = |script| drawn(script, 'a');
        // The waking says since when it can have run,
        assert_eq!(of("10 a>- S, 20 w:a, 40 a>b S"), "0-10 run, 10-20 blocked, 20-40 run");
        // unless the CPU was another thread's still later: then that is unknown;
        let later = "10 a>b S, 20 w:a, 24 b>- S, 40 a>b S";
        assert_eq!(of(later), "0-10 run, 10-20 blocked");
        // without a waking, the thread is not made to have run through an idle CPU's time.
        assert_eq!(of("10 a>- S, 40 a>b S"), "0-10 run, 10-40 blocked");
    }

    #[test]
    fn a_threads_own_event_proves_that_it_runs() {
        assert_eq!(
            drawn("10 a>b S, 20 w:a, 23 .a, 40 a>b S", 'a'),
            "0-10 run, 10-20 blocked, 20-23 cpu, 23-40 run"
        );
    }

    #[test]
    fn without_wakings_a_wait_lasts_until_the_switch_in() {
        assert_eq!(
            drawn("10 a>b D, 35 b>a S, 40 a>b S", 'a'),
            "0-10 run, 10-35 blocked, 35-40 run"
        );
    }

    /// What a does that ends at this moment, while all is recorded or some events were lost.
    fn drawn_to_its_end(script: &str, ended: u64, lost: bool) -> String {
        let mut capture = script::record(Capture::default(), script);
        let thread = script::thread(&mut capture, "a");
        capture.threads.exit(thread, Timestamp(ended));
        let (time, kind, note) = (Some(capture.whole().end), LossKind::Lost, String::new());
        capture.losses.extend(lost.then_some(Loss { time, kind, count: 1, note }));
        drawn_of(&ThreadStates::new(&capture), thread)
    }

    #[test]
    fn who_has_ended_waits_no_more_though_its_last_switch_is_missing() {
        let waits = "10 a>b D, 90 b>- S";
        assert_eq!(drawn_to_its_end(waits, 30, true), "0-10 run, 10-30 blocked");
        assert_eq!(drawn_to_its_end(waits, 30, false), "0-10 run, 10-30 blocked, 30-90 run");
        // On its way out it was taken off its CPU, or waited, when the recording ended; or its last switch was lost.
        for (script, then) in [("10 a>b R+, 90 b>- S", "cpu"), ("10 a>b D, 90 b>- S", "blocked~")] {
            assert_eq!(drawn_to_its_end(script, 8, false), format!("0-10 run, 10-90 {then}"));
            assert_eq!(drawn_to_its_end(script, 8, true), "0-10 run");
        }
        assert_eq!(drawn_to_its_end("5 x>a S, 90 w:b", 30, true), "0-5 ~blocked, 5-30 run");
    }

    #[test]
    fn slices_fill_a_threads_time_without_gap_or_overlap() {
        let script = "3 a>b S, 4 w:a, 5 b>a D, 6 a>c S, 7 w:b, 8 c>b D, 9 w:a, 9 w:c, 12 b>a S, 13 a>c R+, 15 c>a X";
        let (_, states) = states(script);
        for life in &states.lives {
            let slices: Vec<Slice> = life.iter().collect();
            assert!(
                slices.windows(2).all(|pair| pair[0].span.end == pair[1].span.start),
                "{slices:?}"
            );
            assert!(slices.iter().all(|slice| slice.span.duration() > Nanos::ZERO));
        }
    }
}
