//! What is derived from a capture once and asked for by every later step.

use std::sync::OnceLock;

use coldcase_ingest::capture::{Capture, Nanos, ProcessId, Span, ThreadId, Timestamp, Wakeup};

use crate::at_once;
use crate::blame::network;
use crate::blame::stopped;
use crate::cpu;
use crate::cpu::keepers::Seats;
use crate::findings::Cause;
use crate::holds::Holds;
use crate::holds::mm::AddressSpaces;
use crate::holds::series::Series;
use crate::holds::sightings::Sightings;
use crate::rules::{Rules, WaitKind};
use crate::runtimes::golang;
use crate::runtimes::late;
use crate::runtimes::suspended;
use crate::runtimes::vcpus;
use crate::sites::brackets::Brackets;
use crate::sites::contention::Contentions;
use crate::sites::memory::BrkSizes;
use crate::sites::sums::Sums;
use crate::sites::{Site, Sites};
use crate::sites::{ended, gates, requests, rings};
use crate::states::load::Load;
use crate::states::{Doing, ThreadStates, WaitId};
use crate::verdict::resident::ResidentSizes;
use crate::windows::habits::Times;
use crate::windows::past::Past;

/// Which part of a recording a capture is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part<'a> {
    /// When the recording began, if not with this part.
    pub begins: Option<Timestamp>,
    /// What was before has been counted with the part before this one.
    pub counted: Option<Timestamp>,
    /// Whether another part follows.
    pub goes_on: bool,
    /// What threads did in the parts before this one.
    pub past: Option<&'a Past>,
}

/// What is derived from a capture.
pub(crate) struct Model<'a> {
    pub capture: &'a Capture,
    pub span: Span,
    pub part: Part<'a>,
    pub states: ThreadStates,
    pub brackets: Brackets,
    pub sites: Sites,
    pub sums: Sums,
    pub series: Series,
    pub holds: Holds,
    pub brk: BrkSizes,
    pub resident: ResidentSizes,
    /// In order.
    vcpus: Vec<ThreadId>,
    /// By thread number; of few threads it is asked for.
    times: Vec<OnceLock<Times>>,
    counted: OnceLock<Sums>,
    /// Asked for by few captures.
    rests: OnceLock<[Vec<u64>; 2]>,
    sightings: OnceLock<Sightings>,
    load: OnceLock<Load>,
    kept_cpus: OnceLock<Vec<Span>>,
    unnamed_go: OnceLock<Vec<ProcessId>>,
    seats: OnceLock<Seats>,
}

impl<'a> Model<'a> {
    pub fn new(capture: &'a Capture, rules: &Rules, part: Part<'a>) -> Self {
        let states = ThreadStates::new(capture);
        let brackets = Brackets::new(capture);
        let contentions = Contentions::new(capture);
        let spaces = AddressSpaces::new(capture);
        let mut sites = Sites::new(capture, rules, &states, &brackets, &contentions, &spaces);
        let sums = Sums::new(&states, &sites);
        let late = network::late_answers(capture, &states, &sites, &sums);
        sites.retell(&late, None, Cause::Network);
        let at_disks = rings::at_disks(capture, &states, &sites);
        sites.retell(&at_disks, Some(rings::SITE), Cause::DiskIo);
        for ((name, cause), waits) in ended::at_disks(capture, &states, &sites) {
            sites.retell(&waits, Some(&name), cause);
        }
        let at_locks = requests::at_locks(capture, &states, &sites);
        sites.retell(&at_locks, Some(requests::SITE), Cause::Futex);
        sites.know(&at_locks, requests::SITE);
        let parked = gates::parked(capture, &states, &sites);
        sites.rest(&parked, gates::SITE);
        let suspended = suspended::by_signals(capture, &states, &sites);
        sites.retell(&suspended, Some(suspended::SITE), Cause::Futex);
        sites.know(&suspended, suspended::SITE);
        let vcpus = vcpus::find(capture, &states, &sites, &sums);
        sites.know(&vcpus::paused(capture, &states, &sites, &vcpus), vcpus::PAUSED);
        sites.know(&vcpus::outside(capture, &states, &sites, &sums), vcpus::OUTSIDE);
        let thawed = stopped::thawed(capture, &states);
        sites.retell(&thawed, Some("frozen by the cgroup freezer"), Cause::Stopped);
        let series = Series::new(capture, &states, &mut sites, &sums);
        let stopped = late::in_stopped_worlds(capture, &states, &sites, &series);
        sites.retell(&stopped, None, Cause::Futex);
        sites.know(&stopped, late::GO_STOPPED);
        let (sums, holds) = at_once::both(
            || if sites.retold { Sums::new(&states, &sites) } else { sums },
            || Holds::new(capture, &states, &sites, &brackets, &spaces),
        );
        let brk = BrkSizes::new(capture, &brackets);
        let resident = ResidentSizes::new(capture);
        let span = capture.whole();
        Self {
            capture,
            span,
            part,
            states,
            brackets,
            sites,
            sums,
            series,
            holds,
            brk,
            resident,
            vcpus,
            times: capture.threads.iter().map(|_| OnceLock::new()).collect(),
            counted: OnceLock::new(),
            rests: OnceLock::new(),
            sightings: OnceLock::new(),
            load: OnceLock::new(),
            kept_cpus: OnceLock::new(),
            unnamed_go: OnceLock::new(),
            seats: OnceLock::new(),
        }
    }

    /// How long a thread was away, as a rule.
    pub fn times(&self, thread: ThreadId) -> &Times {
        self.times[thread.index()].get_or_init(|| Times::of(self, thread))
    }

    /// When the recording began.
    pub fn begins(&self) -> Timestamp {
        self.part.begins.unwrap_or(self.span.start)
    }

    /// The span that counts with this part of a recording.
    pub fn counted_span(&self) -> Span {
        Span::new(self.part.counted.unwrap_or(self.span.start).max(self.span.start), self.span.end)
    }

    /// Waits summed up, without those that count with another part of the recording.
    pub fn counted(&self) -> &Sums {
        let Part { counted: None, goes_on: false, .. } = self.part else {
            let span = self.counted_span();
            return self
                .counted
                .get_or_init(|| Sums::within(&self.states, &self.sites, span, self.part.goes_on));
        };
        &self.sums
    }

    /// How often each thread waited for a futex, and how often it rested elsewhere; by thread number.
    pub fn rests(&self) -> &[Vec<u64>; 2] {
        let of = |counts: fn(&Site) -> bool| self.sums.of_threads(self.capture, counts);
        self.rests.get_or_init(|| {
            [of(|site| site.is_harm_by(Cause::Futex)), of(|site| site.kind == WaitKind::Idle)]
        })
    }

    /// Whether a thread runs the guest of a virtual machine.
    pub fn is_vcpu(&self, thread: ThreadId) -> bool {
        self.vcpus.binary_search(&thread).is_ok()
    }

    /// On which CPUs threads were seen, and how urgent they were.
    pub fn seats(&self) -> &Seats {
        self.seats.get_or_init(|| Seats::new(self))
    }

    /// How many CPUs were busy, and when.
    pub fn load(&self) -> &Load {
        self.load.get_or_init(|| Load::new(self.capture, &self.states))
    }

    /// Every time that a thread had a CPU for long without a break.
    pub fn kept_cpus(&self) -> &[Span] {
        self.kept_cpus.get_or_init(|| cpu::kept(&self.states))
    }

    /// Programs of Go's whose functions have no names.
    pub fn unnamed_go(&self) -> &[ProcessId] {
        self.unnamed_go.get_or_init(|| golang::unnamed(self.capture, &self.sums))
    }

    /// Where threads were seen while they ran.
    pub fn sightings(&self) -> &Sightings {
        self.sightings.get_or_init(|| Sightings::new(self.capture))
    }

    /// The waits of some threads in a span, in the order of their numbers, each with its time in it.
    pub fn waits_in(&self, threads: &[ThreadId], span: Span) -> Vec<(WaitId, Nanos)> {
        let slices = threads.iter().flat_map(|&thread| self.states.within(thread, span));
        let waits = slices.filter_map(|slice| match slice.doing {
            Doing::Blocked(id) => Some((id, self.states.wait(id).span.overlap(span))),
            Doing::Running | Doing::Runnable(_) => None,
        });
        let mut waits: Vec<_> = waits.collect();
        waits.sort_unstable();
        waits
    }

    /// The wakeup that ended a wait.
    pub fn wakeup(&self, wait: WaitId) -> Option<&'a Wakeup> {
        self.states.wait(wait).wakeup.map(|wakeup| wakeup.of(self.capture))
    }
}
