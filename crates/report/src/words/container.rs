//! A growing container in a sentence.

use coldcase_analyze::findings::Container;

use crate::{names, units};

/// What grew, how large it became, and what made it grow.
pub(crate) fn container_sentence(container: &Container) -> String {
    let mut text = format!("The size fits {}", kind(container.kind));
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

fn kind(word: &str) -> String {
    match word {
        "hashbrown" => "a hash table of Rust's standard library (hashbrown)".to_owned(),
        "vec" => "a growing vector".to_owned(),
        "glibc_arena" => "a heap arena of glibc's malloc".to_owned(),
        "java_heap" => "a step of a Java heap".to_owned(),
        "go_map" => "a growing map of Go".to_owned(),
        other => format!("a container of kind {}", names::name(other)),
    }
}
