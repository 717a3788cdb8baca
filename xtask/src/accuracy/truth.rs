//! What truly happened: `truth.json`, and the other words for it that `expected.json` allows.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

/// The measured truth of one scenario. Times are seconds on the capture's clock; `lab/README.md` describes the keys.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Truth {
    /// The process that froze.
    pub server_pid: Option<i32>,
    /// In order of time; empty where nothing froze.
    pub freezes: Vec<TrueFreeze>,
    /// From when to when each capture reaches, by its file's name.
    #[serde(default)]
    pub captures: BTreeMap<String, Extent>,
}

/// One freeze, and who made it. What is unknown, and who is to blame where nobody is, is `None`.
#[derive(Clone, Debug, Deserialize)]
pub struct TrueFreeze {
    pub start_s: f64,
    pub end_s: f64,
    /// How long it took.
    pub ms: f64,
    pub cause: String,
    pub pid: Option<i32>,
    pub tid: Option<i32>,
    pub comm: Option<String>,
    pub operation: Option<String>,
    pub bytes: Option<u64>,
    pub threads_blocked: u32,
    /// Summed over these threads.
    pub blocked_ms: f64,
    /// Other causes that may be told as well.
    #[serde(skip)]
    pub other_causes: Vec<String>,
    /// Other operations that may be told as well.
    #[serde(skip)]
    pub other_operations: Vec<String>,
}

/// From a capture's first event to its last, in seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Extent {
    pub first_sample_s: f64,
    pub last_sample_s: f64,
}

impl Truth {
    /// Of a fixture's folder.
    pub fn of(folder: &Path) -> Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let named = || format!("{} is not as lab/README.md says", folder.display());
        let mut truth: Self = serde_json::from_str(&text("truth.json")?).with_context(named)?;
        let expected: Value = serde_json::from_str(&text("expected.json")?).with_context(named)?;
        let verdict = &expected["findings"]["verdict"];
        truth.allow(&verdict["cause"], &verdict["culprit"]["operation"]);
        Ok(truth)
    }

    /// Takes up `{"$one_of": [...]}` for the freezes whose truth is on the list.
    fn allow(&mut self, cause: &Value, operation: &Value) {
        let (causes, operations) = (one_of(cause), one_of(operation));
        for freeze in &mut self.freezes {
            if causes.contains(&freeze.cause) {
                freeze.other_causes.clone_from(&causes);
            }
            if freeze.operation.as_ref().is_some_and(|own| operations.contains(own)) {
                freeze.other_operations.clone_from(&operations);
            }
        }
    }
}

fn one_of(expected: &Value) -> Vec<String> {
    let list = expected["$one_of"].as_array().into_iter().flatten();
    list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

impl TrueFreeze {
    /// Freezes shorter than this are not told, unless somebody asks for them (`--min-freeze`), in ms.
    const SHORTEST: f64 = 50.0;

    /// Whether silence about it is a miss: some thread stood still, for long enough.
    pub fn has_to_be_told(&self) -> bool {
        self.threads_blocked > 0 && self.ms >= Self::SHORTEST
    }

    /// This freeze and a later one as one, with the call of the longer.
    pub fn joined(&self, later: &Self) -> Self {
        let longer = if later.ms > self.ms { later } else { self };
        Self {
            start_s: self.start_s,
            end_s: later.end_s,
            ms: self.ms + later.ms,
            threads_blocked: self.threads_blocked.max(later.threads_blocked),
            blocked_ms: self.blocked_ms + later.blocked_ms,
            ..longer.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn other_words_are_for_the_freeze_that_they_are_about() {
        let freeze = |cause, operation| {
            json!({"start_s": 1.0, "end_s": 2.0, "ms": 1000.0, "cause": cause, "pid": 1, "tid": 1,
                "comm": "main", "operation": operation, "bytes": null, "threads_blocked": 2,
                "blocked_ms": 2000.0})
        };
        let freezes = [freeze("rwsem", "write"), freeze("mmap_lock", "fork")];
        let truth = json!({"server_pid": 1, "freezes": freezes});
        let mut truth: Truth = serde_json::from_value(truth).unwrap();
        let causes = json!({"$one_of": ["rwsem", "disk_io", null]});
        truth.allow(&causes, &json!({"$one_of": ["fork", "clone"]}));
        assert_eq!(truth.freezes[0].other_causes, ["rwsem", "disk_io"]);
        assert!(truth.freezes[0].other_operations.is_empty());
        assert!(truth.freezes[1].other_causes.is_empty());
        assert_eq!(truth.freezes[1].other_operations, ["fork", "clone"]);
    }
}
