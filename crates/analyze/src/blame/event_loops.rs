//! What a holder waits for at its event loop.
//!
//! Who rests there with a lock keeps the others for no reason that the capture shows. In a virtual machine it may wait for its disk: QEMU's
//! disks are read and written by workers, and who wants that done before it goes on goes round the loop until they tell it
//! (`AIO_WAIT_WHILE`, `include/block/aio-wait.h`; `util/thread-pool.c`).

use coldcase_ingest::capture::{Context, Span, ThreadId};

use crate::blame::{Blamer, Root};
use crate::findings::Cause;
use crate::holds::Hold;
use crate::model::Model;
use crate::states::{Doing, WaitId};

impl Blamer<'_, '_> {
    /// A holder's rest: what the worker did meanwhile that ended it. Until that one had something to do, the holder rested.
    pub(super) fn at_loop(&mut self, id: WaitId, span: Span, via: Option<&Hold>, depth: u32) {
        let model = self.model;
        let Some(worker) = worker_of_guest(model, id) else { return self.own(id, span, via) };
        let rests = |blamer: &mut Self, piece: Span| {
            if !piece.is_empty() {
                blamer.own(id, piece, via);
            }
        };
        let mut at = span.start;
        for slice in model.states.within(worker, span) {
            rests(self, Span::new(at, slice.span.start));
            match slice.doing {
                Doing::Running => self.leaf(Root::Running(worker), via, slice.span),
                Doing::Runnable(_) => self.leaf(Root::NeedsCpu(worker), via, slice.span),
                Doing::Blocked(wait) if !model.sites.of(wait).is_harm_by(Cause::Futex) => {
                    self.wait(wait, slice.span, via, depth + 1);
                }
                Doing::Blocked(_) => rests(self, slice.span),
            }
            at = slice.span.end;
        }
        rests(self, Span::new(at, span.end));
    }
}

/// The thread of the same virtual machine, and no CPU of its guest, that ended a rest at an event loop.
fn worker_of_guest(model: &Model<'_>, rest: WaitId) -> Option<ThreadId> {
    let thread = model.states.wait(rest).thread;
    let siblings = &model.capture.threads.process_of(thread).threads;
    let is_loop = ["epoll", "poll, select"].contains(&model.sites.name(model.sites.of(rest)));
    if !is_loop || !siblings.iter().any(|&sibling| model.is_vcpu(sibling)) {
        return None;
    }
    let by = model.wakeup(rest).filter(|row| row.context == Context::Task)?.waker?;
    (by != thread && siblings.contains(&by) && !model.is_vcpu(by)).then_some(by)
}

#[cfg(test)]
mod tests {
    use crate::analyze;
    use crate::findings::Cause;
    use crate::script;

    const POLL: &str = "schedule<do_poll<do_sys_poll";
    const TELLS: &str = "try_to_wake_up<pollwake<eventfd_write";

    /// The causes of the freezes of a, b and c, which wait 200 ms for m's lock: m waits at its event loop until h tells it that it has
    /// read, which took it all the time. They have these names.
    fn causes(name: &str) -> Vec<(Option<Cause>, Option<i32>)> {
        let mut threads = vec![('m', "main"), ('h', "worker")];
        threads.extend(['a', 'b', 'c'].map(|t| (t, name)));
        let disk = "schedule<io_schedule<submit_bio_wait<vfs_fsync_range<do_fsync";
        let waits = ["a", "b", "c"].map(|t| format!("101ms {t}>m S FUTEX<user:__lll_lock_wait"));
        let ends =
            ["a", "b", "c"].map(|t| format!("301ms m!{t} WAKES<user:__lll_lock_wake,301ms ->{t}"));
        let then = format!(
            "101ms d>- S SLEEPS,{},102ms m>h S {POLL},103ms h>- D {disk},299ms ->h,300ms h!m {TELLS},300ms h>m S FUTEX,{},302ms m>- S {POLL},\
             303ms a>- S SLEEPS,304ms b>- S SLEEPS,305ms c>- S SLEEPS",
            waits.join(","),
            ends.join(","),
        );
        let findings = analyze(&script::with_habits(&threads, &then), &script::options());
        let culprit = |w: &crate::findings::Window| w.culprit.as_ref().and_then(|c| c.thread.tid);
        findings.windows.iter().map(|window| (window.cause, culprit(window))).collect()
    }

    #[test]
    fn who_goes_round_the_loop_for_a_guests_disk_waits_for_the_disk() {
        assert_eq!(causes("CPU 0/KVM"), [(Some(Cause::DiskIo), None)]);
        assert_eq!(causes("serve"), [(Some(Cause::Futex), Some(script::tid('m')))]);
    }
}
