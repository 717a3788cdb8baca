//! Every field that holds a name, of the rows of an export; taken apart by all their fields, so that a new one cannot be forgotten.

use coldcase_analyze::records::{FrameRow, Records, ThreadRow};

use crate::redaction::Redaction;

impl Redaction {
    /// Replaces the names in the rows behind findings. What rows refer to each other by stays.
    pub fn records(&mut self, records: &mut Records) {
        let Records {
            threads,
            frames,
            span: _,
            stacks: _,
            waits: _,
            states: _,
            holds: _,
            memory_calls: _,
            samples: _,
            profile: _,
        } = records;
        for thread in threads {
            let ThreadRow {
                comm,
                process_comm,
                pid: _,
                tid: _,
                process: _,
                kernel: _,
                born: _,
                ended: _,
            } = thread;
            *comm = self.task(comm);
            *process_comm = self.task(process_comm);
        }
        for FrameRow { mode, view } in frames {
            self.frames(*mode, std::slice::from_mut(view));
        }
    }
}
