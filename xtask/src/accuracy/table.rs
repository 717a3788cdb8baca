//! Rows of the page's tables.

use coldcase_analyze::thousands;

use super::judge::{Fault, Judgement, Row};
use super::told::{ToldCulprit, ToldFreeze};
use super::truth::TrueFreeze;

/// What happened, in words: `mmap_lock: main (12), munmap, 4,096 bytes`.
pub fn truth(freeze: &TrueFreeze) -> String {
    let who = freeze.comm.as_ref().map(|comm| match freeze.tid {
        Some(tid) => format!("{comm} ({tid})"),
        None => format!("process {comm}"),
    });
    sentence(&freeze.cause, who, freeze.operation.as_deref(), freeze.bytes)
}

/// What was told, in the same words.
pub fn told(freeze: &ToldFreeze) -> String {
    let cause = freeze.cause.unwrap_or("cannot tell");
    let Some(ToldCulprit { tid, comm, operation, bytes, .. }) = &freeze.culprit else {
        return cause.to_owned();
    };
    let who = tid.map_or_else(|| comm.clone(), |tid| format!("{comm} ({tid})"));
    sentence(cause, Some(who), *operation, *bytes)
}

fn sentence(cause: &str, who: Option<String>, call: Option<&str>, bytes: Option<u64>) -> String {
    let bytes = bytes.map(|bytes| format!("{} bytes", thousands(bytes)));
    let parts: Vec<String> = [who, call.map(str::to_owned), bytes].into_iter().flatten().collect();
    if parts.is_empty() { cause.to_owned() } else { format!("{cause}: {}", parts.join(", ")) }
}

/// What a verdict is worth, in a few words.
pub fn judgement(judgement: &Judgement) -> String {
    match judgement {
        Judgement::Right => "right".to_owned(),
        Judgement::CannotTell => "cannot tell".to_owned(),
        Judgement::RightlySilent => "right: no freeze".to_owned(),
        Judgement::Missed => "**missed**".to_owned(),
        Judgement::Invented => "**invented**".to_owned(),
        Judgement::Unmeasured => "not measured".to_owned(),
        Judgement::Wrong(faults) => {
            let words: Vec<&str> = faults.iter().map(|fault| word(*fault)).collect();
            format!("**wrong {}**", words.join(", "))
        }
    }
}

fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Cause => "cause",
        Fault::Culprit => "culprit",
        Fault::Operation => "operation",
        Fault::Bytes => "size",
    }
}

/// How far the told start and end are from the true ones, in ms; late is positive.
pub fn errors(row: &Row) -> (String, String) {
    let told = row.told.as_ref().and_then(|told| told.span);
    match told.zip(row.seen) {
        Some((told, seen)) => {
            (signed((told.0 - seen.0) * 1e3, 1), signed((told.1 - seen.1) * 1e3, 1))
        }
        None => Default::default(),
    }
}

/// Threads that stood still: told / true.
pub fn threads(row: &Row) -> String {
    let told = row.told.as_ref().map(|told| told.threads_blocked.to_string());
    let truth = row.truth.as_ref().map(|truth| truth.threads_blocked.to_string());
    match (told, truth) {
        (Some(told), Some(truth)) => format!("{told}/{truth}"),
        (None, Some(truth)) => format!("-/{truth}"),
        (Some(told), None) => format!("{told}/-"),
        (None, None) => String::new(),
    }
}

/// How much more waiting is told than there truly was, in per cent. Nothing for a freeze of which the capture has only a
/// part: its true waiting is that of the whole.
pub fn waiting_error(row: &Row) -> String {
    row.waiting_error().map_or(String::new(), |error| signed(error, 1))
}

/// How much more waiting than the true one is charged to the true culprit, in per cent.
pub fn blame_error(row: &Row) -> String {
    row.blame_error().map_or(String::new(), |error| signed(error, 1))
}

fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:+.decimals$}");
    if text.trim_matches(['+', '-', '0', '.']).is_empty() {
        format!("{:.decimals$}", 0.0)
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!(signed(-0.04, 1), "0.0");
        assert_eq!(signed(0.05001, 1), "+0.1");
        assert_eq!(signed(-100.0, 1), "-100.0");
    }
}
