//! Rows of many profiles as rows of one, with names and stacks interned anew.

use std::path::Path;

use crate::capture::{
    Capture, FrameId, ProfileRow, ProfileWaker, Sentence, Span, StackId, ThreadId, Timestamp,
};

/// The profile of all files so far.
#[derive(Default)]
pub(super) struct Merge {
    /// `None` until a file could be read.
    capture: Option<Capture>,
    slices: Vec<Span>,
    /// Threads without a number, each by its name.
    made_up: Vec<(String, ThreadId)>,
    /// The first file with something to warn of, and how many there are.
    warning: Option<(Sentence, u32)>,
}

impl Merge {
    /// What follows is of this stretch of time.
    pub fn begin(&mut self, slice: Span) {
        if self.slices.last() != Some(&slice) {
            self.slices.push(slice);
        }
    }

    /// The rows of a file.
    pub fn add(&mut self, path: &Path, file: &Capture) {
        let slice = u32::try_from(self.slices.len().saturating_sub(1)).ok();
        for row in &file.profile {
            let waker = row.waker.map(|waker| ProfileWaker {
                thread: self.thread(file, waker.thread),
                stack: self.stack(file, waker.stack),
            });
            let (thread, stack) = (self.thread(file, row.thread), self.stack(file, row.stack));
            let row = ProfileRow { thread, stack, waker, slice, off_cpu: row.off_cpu };
            self.capture(file).profile.push(row);
        }
        let capture = self.capture(file);
        for event in &file.events {
            match capture.events.iter_mut().find(|known| known.name == event.name) {
                Some(known) => known.count += event.count,
                None => capture.events.push(event.clone()),
            }
        }
        capture.losses.extend(file.losses.iter().cloned());
        if let Some(warning) = file.warnings.first() {
            let first =
                || (Sentence::default().path(path.display()).words(": ").sentence(warning), 0);
            self.warning.get_or_insert_with(first).1 += 1;
        }
    }

    /// The profile; `None` if no file could be read.
    pub fn finish(self) -> Option<Capture> {
        let mut capture = self.capture?;
        capture.slices = self.slices;
        if let Some((warning, count)) = self.warning {
            let words = format!("{count} files have warnings; the first is ");
            capture.warn(Sentence::from(words).sentence(&warning));
        }
        Some(capture)
    }

    fn capture(&mut self, file: &Capture) -> &mut Capture {
        self.capture
            .get_or_insert_with(|| Capture { origin: file.origin.clone(), ..Capture::default() })
    }

    fn thread(&mut self, file: &Capture, thread: ThreadId) -> ThreadId {
        let Self { made_up, .. } = self;
        let known = file.threads.get(thread);
        let (comm, tid) = (known.comm(), known.tid);
        if tid < 0
            && let Some((_, thread)) = made_up.iter().find(|(name, _)| name == comm)
        {
            return *thread;
        }
        let next = -2 - i32::try_from(made_up.len()).unwrap_or(i32::MAX - 2);
        let pid = file.threads.process_of(thread).pid;
        let threads = &mut self.capture(file).threads;
        let thread = match pid {
            _ if tid < 0 => threads.of_tid(next),
            Some(pid) => threads.of_pid_tid(pid, tid),
            None => threads.of_tid(tid),
        };
        threads.name(thread, comm, Timestamp(0));
        if tid < 0 {
            self.made_up.push((comm.to_owned(), thread));
        }
        thread
    }

    fn stack(&mut self, file: &Capture, stack: StackId) -> StackId {
        let capture = self.capture(file);
        let frames = file.stacks.frames(stack).iter().map(|&id| {
            let frame = file.frames.get(id);
            // A text's frames have a name or an address.
            match frame.function() {
                Some(name) => capture.frames.intern_name(frame.mode, name),
                None => capture.frames.intern(frame.mode, frame.location),
            }
        });
        let frames: Vec<FrameId> = frames.collect();
        capture.stacks.intern(&frames)
    }
}
