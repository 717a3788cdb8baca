//! From findings to their JSON form.

use coldcase_analyze::findings as from;
use coldcase_ingest::capture::{Nanos, Sentence, Timestamp, WallClock, WhyNoSymbol};

use super::dto;
use crate::{units, words};

const SCHEMA: &str = "coldcase.findings/1";

impl<'a> From<&'a from::Findings> for dto::Document<'a> {
    fn from(findings: &'a from::Findings) -> Self {
        Self {
            schema: SCHEMA,
            capture: dto::Capture::from(&findings.capture),
            verdict: verdict(findings),
            windows: findings.windows.iter().map(|row| window(findings, row)).collect(),
            wait_sites: harmful(findings).map(dto::WaitSite::from).collect(),
            contention: findings.contention.as_ref().map(dto::Contention::from),
            memory_events: findings.memory_events.iter().map(dto::MemoryEvent::from).collect(),
        }
    }
}

impl<'a> From<&'a from::CaptureSummary> for dto::Capture<'a> {
    fn from(capture: &'a from::CaptureSummary) -> Self {
        let counts = capture.symbols;
        Self {
            format: &capture.format,
            kernel: capture.kernel.as_deref(),
            arch: capture.arch.as_deref(),
            hostname: capture.hostname.as_deref(),
            cpus: capture.cpus,
            command: &capture.command,
            start_s: capture.span.map(|span| seconds(span.start)),
            duration_s: capture.span.map(|span| span.duration().0 as f64 / 1e9),
            events: capture.events.iter().map(|(name, count)| (name.as_str(), *count)).collect(),
            lost_events: capture.lost_events,
            warnings: texts(&capture.warnings),
            symbols: dto::Symbols {
                kernel_resolved: counts.kernel_resolved,
                kernel_total: counts.kernel_total,
                user_resolved: counts.user_resolved,
                user_total: counts.user_total,
            },
            alarm: capture.incident.as_ref().map(|incident| dto::Alarm {
                at_s: incident.alarm.map(seconds),
                saw: &incident.saw,
                well_again_s: incident.well_again.map(seconds),
            }),
        }
    }
}

fn verdict(findings: &from::Findings) -> dto::Verdict<'_> {
    let verdict = &findings.verdict;
    dto::Verdict {
        outcome: verdict.outcome.word(),
        window: findings
            .worst()
            .map_or_else(|| no_window(findings), |worst| window(findings, worst)),
        fingerprint: verdict.fingerprint.as_deref(),
        container: verdict.container.as_ref().map(container),
        ruled_out: verdict
            .ruled_out
            .iter()
            .map(|row| dto::RuledOut { cause: row.cause.word(), finding: &row.finding })
            .collect(),
        cannot_tell: verdict
            .cannot_tell
            .iter()
            .map(|row| dto::CannotTell { cause: row.cause.word(), missing: &row.missing })
            .collect(),
    }
}

fn no_window(findings: &from::Findings) -> dto::Window<'_> {
    dto::Window {
        cause: None,
        grade: from::Grade::Undetermined.word(),
        summary: words::findings_summary(findings),
        freeze: None,
        lock: None,
        culprit: None,
        evidence: Vec::new(),
        blame: Vec::new(),
        chain: Vec::new(),
        without_culprit: None,
        remedies: Vec::new(),
    }
}

fn window<'a>(findings: &from::Findings, window: &'a from::Window) -> dto::Window<'a> {
    dto::Window {
        cause: window.cause.map(from::Cause::word),
        grade: window.grade.word(),
        summary: words::window_summary(window),
        freeze: Some(freeze(&window.freeze, findings.capture.wall_clock)),
        lock: window.lock.as_ref().map(lock),
        culprit: window.culprit.as_ref().map(dto::Culprit::from),
        evidence: texts(window.reasons.iter().chain(&window.evidence)),
        blame: window.blame.iter().map(dto::Blame::from).collect(),
        chain: window.chain.iter().map(dto::Link::from).collect(),
        without_culprit: window.without_culprit.map(|without| dto::WithoutCulprit {
            longest_ms: millis(without.longest),
            recovered_ms: millis(without.recovered),
        }),
        remedies: window
            .remedies
            .iter()
            .map(|row| dto::Remedy { action: &row.action, cost: &row.cost })
            .collect(),
    }
}

fn freeze(freeze: &from::Freeze, wall_clock: Option<WallClock>) -> dto::Freeze<'_> {
    let start_wall = wall_clock.zip(freeze.span);
    let start_wall = start_wall.and_then(|(wall, span)| wall.wall_ns_at(span.start));
    dto::Freeze {
        process: dto::Process { pid: freeze.pid, comm: text(&freeze.comm) },
        start_s: freeze.span.map(|span| seconds(span.start)),
        end_s: freeze.span.map(|span| seconds(span.end)),
        start_utc: start_wall.map(units::rfc_3339),
        duration_ms: freeze.span.map(|span| millis(span.duration())),
        threads_blocked: freeze.threads_blocked,
        blocked_ms: millis(freeze.blocked),
        processes: freeze.processes,
        kept_cpus: &freeze.cpus,
        open_start: freeze.open_start,
        open_end: freeze.open_end,
    }
}

fn lock(lock: &from::Lock) -> dto::Lock {
    dto::Lock {
        kind: lock.kind.word(),
        mode: lock.mode.map(from::LockMode::word),
        address: lock.address.map(hex),
    }
}

impl<'a> From<&'a from::ThreadName> for dto::Thread<'a> {
    fn from(thread: &'a from::ThreadName) -> Self {
        Self { pid: thread.pid, tid: thread.tid, comm: text(&thread.comm) }
    }
}

impl<'a> From<&'a from::Culprit> for dto::Culprit<'a> {
    fn from(culprit: &'a from::Culprit) -> Self {
        Self {
            thread: dto::Thread::from(&culprit.thread),
            operation: culprit.operation.map(from::Operation::word),
            bytes: culprit.bytes,
            flags: &culprit.flags,
            start_s: culprit.began().map(seconds),
            duration_ms: culprit.duration.map(millis),
            held_ms: culprit.held.map(millis),
            kernel_stack: culprit.kernel_stack.iter().map(dto::Frame::from).collect(),
            user_stack: culprit.user_stack.iter().map(dto::Frame::from).collect(),
            activity: culprit
                .activity
                .iter()
                .map(|share| dto::Activity { what: &share.what, time_ms: millis(share.time) })
                .collect(),
        }
    }
}

impl<'a> From<&'a from::FrameView> for dto::Frame<'a> {
    fn from(frame: &'a from::FrameView) -> Self {
        Self {
            function: frame.function.as_deref(),
            file: frame.file.as_deref(),
            line: frame.line,
            inlined: frame.inlined,
            module: frame.module.as_deref(),
            offset: frame.offset.map(hex),
            why: frame.why.map(WhyNoSymbol::word),
        }
    }
}

impl<'a> From<&'a from::BlameRow> for dto::Blame<'a> {
    fn from(row: &'a from::BlameRow) -> Self {
        Self {
            thread: row.thread.as_ref().map(dto::Thread::from),
            doing: &row.doing,
            blocked_ms: millis(row.time),
            unknown: row.unknown,
        }
    }
}

impl<'a> From<&'a from::ChainLink> for dto::Link<'a> {
    fn from(link: &'a from::ChainLink) -> Self {
        Self {
            waiter: dto::Thread::from(&link.waiter),
            site: &link.site,
            start_s: seconds(link.span.start),
            end_s: seconds(link.span.end),
            duration_ms: millis(link.span.duration()),
            waker: link.waker.as_ref().map(dto::Thread::from),
            how: &link.how,
        }
    }
}

fn container(container: &from::Container) -> dto::Container {
    dto::Container {
        kind: container.kind.word(),
        bytes: container.bytes,
        entries: container.entries,
        entry_bytes: container.entry_bytes,
        buckets: container.buckets,
        trigger_insert: container.trigger_insert,
        next: container.next.map(|next| dto::NextStep { insert: next.insert, bytes: next.bytes }),
    }
}

impl<'a> From<&'a from::Contention> for dto::Contention<'a> {
    fn from(contention: &'a from::Contention) -> Self {
        Self {
            process: dto::Process { pid: contention.pid, comm: text(&contention.comm) },
            site: dto::WaitSite {
                site: &contention.site,
                cause: Some(contention.cause.word()),
                blocked_ms: millis(contention.blocked),
                waits: Some(contention.waits),
                threads: contention.threads,
                longest_ms: Some(millis(contention.longest)),
            },
        }
    }
}

impl<'a> From<&'a from::SiteTotal> for dto::WaitSite<'a> {
    fn from(site: &'a from::SiteTotal) -> Self {
        Self {
            site: &site.site,
            cause: site.cause.map(from::Cause::word),
            blocked_ms: millis(site.blocked),
            waits: site.waits,
            threads: site.threads,
            longest_ms: site.longest.map(millis),
        }
    }
}

impl<'a> From<&'a from::MemoryEvent> for dto::MemoryEvent<'a> {
    fn from(event: &'a from::MemoryEvent) -> Self {
        Self {
            start_s: event.start.map(seconds),
            duration_ms: event.duration.map(millis),
            thread: dto::Thread::from(&event.thread),
            operation: event.operation.word(),
            bytes: event.bytes,
            flags: &event.flags,
            overlap_ms: millis(event.overlap),
            rss_step_bytes: event.resident_step,
        }
    }
}

/// Seconds; a double holds whole nanoseconds up to 104 days of uptime, and microseconds far beyond.
fn seconds(time: Timestamp) -> f64 {
    time.as_secs_f64()
}

fn millis(time: Nanos) -> f64 {
    time.as_millis_f64()
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

/// Where threads rested is no wait site to a program that reads the first one.
fn harmful(findings: &from::Findings) -> impl Iterator<Item = &from::SiteTotal> {
    findings.wait_sites.iter().filter(|site| !site.idle)
}

/// The contract has no empty names.
fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn texts<'a>(sentences: impl IntoIterator<Item = &'a Sentence>) -> Vec<&'a str> {
    sentences.into_iter().map(|sentence| &**sentence).collect()
}
