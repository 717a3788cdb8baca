//! A growing container in a sentence.

use coldcase_analyze::findings::{Container, ContainerKind};

use crate::units;

/// What grew, how large it became, and what made it grow; `call` are the bytes of the culprit's call, if that is what it
/// stood in.
pub(crate) fn container_sentence(container: &Container, call: Option<u64>) -> String {
    let Some(kind) = kind(container.kind) else {
        let bytes = units::exact_size(container.bytes);
        return format!("In this pause it enlarged the heap by {bytes}.");
    };
    let mut text = if call == Some(container.bytes) {
        format!("The size fits {kind}")
    } else {
        format!("It asked for {} then, which fits {kind}", units::exact_size(container.bytes))
    };
    if let Some(buckets) = container.buckets {
        text.push_str(&format!(" of {}", units::counted(buckets, "bucket", "buckets")));
    }
    if let Some(bytes) = container.entry_bytes {
        text.push_str(&format!(" with entries of {}", units::counted(bytes, "byte", "bytes")));
    }
    if let Some(insert) = container.trigger_insert {
        text.push_str(&format!(": it grew at insert {}", units::count(insert)));
        if let Some(entries) = container.entries {
            text.push_str(&format!(", when all {} places were taken", units::count(entries)));
        }
    } else if let Some(entries) = container.entries {
        text.push_str(&format!(": it grew when {} places were taken", units::count(entries)));
    }
    text.push('.');
    if let Some(next) = container.next {
        let when = match next.insert {
            Some(insert) => format!("The next step comes at insert {}", units::count(insert)),
            None => "The next step".to_owned(),
        };
        let joint = if next.insert.is_some() { " and asks for " } else { " asks for " };
        text.push_str(&format!(" {when}{joint}{}.", units::exact_size(next.bytes)));
    }
    text
}

/// What a size fits; `None` for a heap, whose size fits nothing.
fn kind(kind: ContainerKind) -> Option<&'static str> {
    Some(match kind {
        ContainerKind::Hashbrown => "a hash table of Rust's standard library (hashbrown)",
        ContainerKind::FlatHashMap => {
            "a hash table of Abseil's (absl::flat_hash_map or flat_hash_set)"
        }
        ContainerKind::UnorderedMap => {
            "a hash table of C++'s standard library (std::unordered_map of libstdc++)"
        }
        ContainerKind::PythonDict => "a dict of Python",
        ContainerKind::Vec => "a growing vector",
        ContainerKind::JavaHeap => return None,
    })
}
