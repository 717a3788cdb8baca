//! A comparison as JSON, schema `coldcase.diff/1`: `docs/diff.md` is its description. Unknown is null.

use coldcase_analyze::compare::{CulpritSum, MemorySum, Side, SiteSum};
use coldcase_analyze::findings::{Findings, ThreadName};
use coldcase_ingest::capture::{Nanos, inert_json};
use serde_json::{Value, json};

use super::{Diff, view};

const SCHEMA: &str = "coldcase.diff/1";

/// A comparison as JSON, indented, with a line feed at the end.
#[must_use]
pub fn diff_json(diff: &Diff<'_>) -> String {
    let comparison = diff.comparison;
    let sites = comparison.sites.iter().map(|row| {
        json!({
            "process": row.process, "site": row.site, "cause": row.cause.map(|cause| cause.word()), "change": row.word(),
            "before": site(&row.before), "after": site(&row.after),
        })
    });
    let culprits = comparison.culprits.iter().map(|row| {
        json!({
            "comm": row.thread.comm, "cause": row.cause.map(|cause| cause.word()),
            "operation": row.operation.map(|operation| operation.word()),
            "before": culprit(&row.before), "after": culprit(&row.after),
        })
    });
    let memory = comparison.memory.iter().map(|row| {
        json!({
            "comm": row.comm, "operation": row.operation.word(), "before": memory(&row.before), "after": memory(&row.after),
        })
    });
    let reservations: Vec<&str> = comparison.reservations.iter().map(|text| &**text).collect();
    let document = json!({
        "schema": SCHEMA,
        "change": comparison.change.word(),
        "worse": comparison.worse,
        "grade": comparison.grade.word(),
        "incident": comparison.incident.word(),
        "summary": view::summary(comparison),
        "reservations": reservations,
        "before": side(&comparison.before, diff.before),
        "after": side(&comparison.after, diff.after),
        "wait_sites": sites.collect::<Vec<_>>(),
        "culprits": culprits.collect::<Vec<_>>(),
        "memory_calls": memory.collect::<Vec<_>>(),
    });
    inert_json(&format!("{document:#}\n")).into_owned()
}

fn side(side: &Side, findings: &Findings) -> Value {
    let freeze = side.freeze.as_ref().map(|freeze| {
        json!({
            "process": freeze.process,
            "cause": freeze.cause.map(|cause| cause.word()),
            "grade": freeze.grade.word(),
            "operation": freeze.operation.map(|operation| operation.word()),
            "culprit": freeze.culprit.as_ref().map(thread),
            "duration_ms": freeze.length.map(millis),
            "open": freeze.open,
            "blocked_ms": millis(freeze.blocked),
            "threads_blocked": freeze.threads_blocked,
            "fingerprint": freeze.fingerprint,
        })
    });
    json!({
        "format": findings.capture.format,
        "kernel": findings.capture.kernel,
        "duration_s": side.covered.map(|covered| covered.0 as f64 / 1e9),
        "lost_events": findings.capture.lost_events,
        "outcome": findings.verdict.outcome.word(),
        "can_tell": side.can_tell,
        "freezes": side.freezes,
        "frozen_ms": side.covered.map(|_| millis(side.frozen)),
        "freeze": freeze,
    })
}

fn thread(thread: &ThreadName) -> Value {
    json!({"pid": thread.pid, "tid": thread.tid, "comm": thread.comm})
}

fn site(sum: &SiteSum) -> Value {
    json!({
        "blocked_ms": millis(sum.blocked), "share": sum.share, "waits": sum.waits, "longest_ms": sum.longest.map(millis),
    })
}

fn culprit(sum: &CulpritSum) -> Value {
    json!({"freezes": sum.freezes, "longest_ms": sum.longest.map(millis)})
}

fn memory(sum: &MemorySum) -> Value {
    json!({"calls": sum.calls, "largest_bytes": sum.largest, "longest_ms": sum.longest.map(millis)})
}

fn millis(time: Nanos) -> f64 {
    time.as_millis_f64()
}
