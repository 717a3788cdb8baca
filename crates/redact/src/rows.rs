//! Every field that holds a name, of a capture, of findings and of the report on symbols. Findings are taken apart by all their
//! fields, so that a new one cannot be forgotten.

use std::path::PathBuf;

use coldcase_analyze::compare::Comparison;
use coldcase_analyze::details::{Details, Proof, WaitView};
use coldcase_analyze::findings::{
    CannotTell, CaptureSummary, Culprit, Findings, FoldedStack, FrameView, Lane, ThreadName, Window,
};
use coldcase_ingest::capture::{Capture, Incident, Location, Mode};
use coldcase_ingest::symbols::{KernelReport, ModuleReport, SymbolReport};

use crate::redaction::Redaction;

impl Redaction {
    /// Replaces the names in findings.
    pub fn findings(&mut self, findings: &mut Findings) {
        let Findings {
            capture,
            verdict,
            windows,
            wait_sites: _,
            processes,
            contention,
            memory_events,
            memory_totals,
            timeline,
            off_cpu,
            details,
        } = findings;
        self.summary(capture);
        if let Some(possible) = &mut verdict.possible {
            possible.comm = self.task(&possible.comm);
        }
        for CannotTell { missing, cause: _ } in &mut verdict.cannot_tell {
            *missing = self.sentence(missing);
        }
        windows.iter_mut().for_each(|window| self.window(window));
        processes.iter_mut().for_each(|process| process.comm = self.task(&process.comm));
        if let Some(contention) = contention {
            contention.comm = self.task(&contention.comm);
            if let Some(place) = &mut contention.place {
                self.frames(Mode::User, std::slice::from_mut(place));
            }
        }
        memory_events.iter_mut().for_each(|event| self.thread(&mut event.thread));
        memory_totals.iter_mut().for_each(|total| total.comm = self.task(&total.comm));
        let lanes = timeline.iter_mut().flat_map(|timeline| &mut timeline.lanes);
        lanes.for_each(|Lane { thread, role: _, segments: _ }| self.thread(thread));
        self.stacks(off_cpu);
        self.details(details);
    }

    /// Replaces the names in a comparison.
    pub fn comparison(&mut self, comparison: &mut Comparison) {
        let Comparison { before, after, reservations, sites, culprits, memory, .. } = comparison;
        for freeze in [before, after].into_iter().filter_map(|side| side.freeze.as_mut()) {
            freeze.process = self.task(&freeze.process);
            freeze.threads.iter_mut().for_each(|name| *name = self.task(name));
            freeze.culprit.iter_mut().for_each(|culprit| self.thread(culprit));
        }
        reservations.iter_mut().for_each(|sentence| *sentence = self.sentence(sentence));
        sites.iter_mut().for_each(|row| row.process = self.task(&row.process));
        culprits.iter_mut().for_each(|row| self.thread(&mut row.thread));
        memory.iter_mut().for_each(|row| row.comm = self.task(&row.comm));
    }

    fn summary(&mut self, summary: &mut CaptureSummary) {
        let CaptureSummary {
            hostname,
            command,
            events,
            warnings,
            incident,
            format: _,
            cpus: _,
            kernel: _,
            arch: _,
            span: _,
            wall_clock: _,
            lost_events: _,
            symbols: _,
        } = summary;
        if let Some(host) = hostname {
            *host = self.host(host);
        }
        if let Some(incident) = incident {
            self.incident(incident);
        }
        *command = self.command(command);
        events.iter_mut().for_each(|(name, _)| *name = self.event(name));
        warnings.iter_mut().for_each(|warning| *warning = self.sentence(warning));
    }

    /// What an alarm saw is somebody's own words, with addresses and commands: one token for all of them. So is a line of the
    /// kernel's log.
    fn incident(&mut self, incident: &mut Incident) {
        let Incident { alarm: _, saw, watched: _, well_again: _, sizes, readings: _, kernel_log } =
            incident;
        *saw = self.quote(saw);
        kernel_log.iter_mut().for_each(|(_, line)| *line = self.quote(line));
        sizes.iter_mut().for_each(|size| size.comm = self.task(&size.comm));
    }

    fn window(&mut self, window: &mut Window) {
        let Window {
            cause: _,
            grade: _,
            reasons,
            evidence,
            freeze,
            lock: _,
            culprit,
            deadlock,
            starved_end,
            blame,
            chain,
            without_culprit: _,
            remedies,
        } = window;
        let actions = remedies.iter_mut().map(|remedy| &mut remedy.action);
        for sentence in reasons.iter_mut().chain(evidence).chain(actions) {
            *sentence = self.sentence(sentence);
        }
        freeze.comm = self.task(&freeze.comm);
        if let Some((first, last)) = &mut freeze.range {
            *first = self.task(first);
            *last = self.task(last);
        }
        if let Some(culprit) = culprit {
            let Culprit {
                thread,
                kernel_stack,
                user_stack,
                operation: _,
                bytes: _,
                flags: _,
                start: _,
                duration: _,
                held: _,
                activity: _,
            } = culprit;
            self.thread(thread);
            self.frames(Mode::Kernel, kernel_stack);
            self.frames(Mode::User, user_stack);
        }
        let starved = starved_end.iter_mut().map(|(thread, _)| thread);
        deadlock.iter_mut().chain(starved).for_each(|thread| self.thread(thread));
        blame.iter_mut().filter_map(|row| row.thread.as_mut()).for_each(|row| self.thread(row));
        for link in chain {
            self.thread(&mut link.waiter);
            link.waker.iter_mut().for_each(|waker| self.thread(waker));
        }
    }

    fn details(&mut self, details: &mut Details) {
        let Details { waits, stacks, heat: _, off_cpu_all, off_cpu_before, proofs, resident: _ } =
            details;
        for wait in waits {
            let WaitView {
                waker,
                lane: _,
                span: _,
                site: _,
                harm: _,
                ready: _,
                stack: _,
                waker_lane: _,
                waker_stack: _,
                how: _,
            } = wait;
            waker.iter_mut().for_each(|waker| self.thread(waker));
        }
        for stack in stacks {
            self.frames(Mode::User, &mut stack.user);
            self.frames(Mode::Kernel, &mut stack.kernel);
        }
        self.stacks(off_cpu_all);
        off_cpu_before.iter_mut().for_each(|before| self.stacks(&mut before.off_cpu));
        for Proof { event, thread, tells, figure: _, time: _ } in proofs {
            *event = self.event(event);
            self.thread(thread);
            *tells = self.sentence(tells);
        }
    }

    fn thread(&mut self, thread: &mut ThreadName) {
        thread.comm = self.task(&thread.comm);
    }

    fn stacks(&mut self, stacks: &mut [FoldedStack]) {
        for FoldedStack { process, frames, time: _ } in stacks {
            *process = process.as_deref().map(|process| self.task(process));
            let mut frames = frames.iter_mut();
            if let Some(comm) = frames.next() {
                *comm = self.task(comm).into();
            }
            frames.for_each(|frame| *frame = self.label(frame).into());
        }
    }

    pub(crate) fn frames(&mut self, mode: Mode, frames: &mut [FrameView]) {
        for FrameView { function, file, module, line: _, inlined: _, offset: _, why: _ } in frames {
            let of = module.clone();
            if let Some(name) = function {
                *name = self.function(mode, of.as_deref(), name);
            }
            if let (Some(path), Mode::User) = (file, mode) {
                *path = self.source(of.as_deref(), path);
            }
            if let Some(path) = module {
                *path = self.path(path);
            }
        }
    }

    /// Replaces the names in a capture that has been analysed: the analysis itself needs the true ones.
    pub fn capture(&mut self, capture: &mut Capture) {
        let paths: Vec<String> =
            capture.modules.iter().map(|(_, module)| module.path.clone()).collect();
        capture.frames.rename(|mode, location, call| {
            let module = match location {
                Location::File { module, .. } => Some(paths[module.index()].as_str()),
                Location::Address(_) | Location::Named(_) => None,
            };
            call.function = self.function(mode, module, &call.function);
            if let (Some(path), Mode::User) = (&mut call.file, mode) {
                *path = self.source(module, path);
            }
        });
        capture.modules.rename(|path| self.path(path));
        capture.threads.rename(|name| self.task(name));
        for code in &mut capture.made_code {
            code.name = self.function(Mode::Kernel, None, &code.name);
        }
        capture.events.iter_mut().for_each(|event| event.name = self.event(&event.name));
        capture.warnings.iter_mut().for_each(|warning| *warning = self.sentence(warning));
        if let Some(incident) = &mut capture.incident {
            self.incident(incident);
        }
        if let Some(host) = &mut capture.origin.hostname {
            *host = self.host(host);
        }
        capture.origin.command = self.command(&capture.origin.command);
    }

    /// Replaces the names in the report on where names came from.
    pub fn symbols(&mut self, report: &mut SymbolReport) {
        let SymbolReport { kernel, user: _, modules, warnings } = report;
        let KernelReport { frames: _, source, is_missing: _, modules: _ } = kernel;
        *source = self.sentence(source);
        for ModuleReport { path, files, notes, module: _, frames: _, reason: _, build_id: _ } in
            modules
        {
            *path = self.path(path);
            for file in files {
                *file = PathBuf::from(self.path(&file.to_string_lossy()));
            }
            notes.iter_mut().for_each(|note| *note = self.sentence(note));
        }
        warnings.iter_mut().for_each(|warning| *warning = self.sentence(warning));
    }
}
