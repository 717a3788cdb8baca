//! The text of a table of rules; the head of `rules.txt` explains its columns.

use std::collections::BTreeMap;

use coldcase_ingest::capture::TaskState;

use super::{BUILT_IN, Condition, Pattern, Rule, RuleError, Rules, WaitKind};
use crate::findings::{Cause, LockMode};

/// Reads a table, which may use the lists of the built-in one.
pub(super) fn parse(text: &str) -> Result<Rules, RuleError> {
    let mut lists = parse_lists(BUILT_IN);
    lists.extend(parse_lists(text));
    let mut rules = Rules { rules: Vec::new(), groups: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '@']) {
            continue;
        }
        let rule = parse_rule(line, &lists, &mut rules.groups);
        rules.rules.push(rule.map_err(|reason| RuleError { line: index + 1, reason })?);
    }
    Ok(rules)
}

fn parse_lists(text: &str) -> BTreeMap<&str, &str> {
    let definitions = text.lines().filter_map(|line| line.trim().strip_prefix('@'));
    definitions
        .filter_map(|line| line.split_once('='))
        .map(|(name, list)| (name.trim(), list.trim()))
        .collect()
}

fn parse_rule(
    line: &str,
    lists: &BTreeMap<&str, &str>,
    groups: &mut Vec<Vec<Pattern>>,
) -> Result<Rule, String> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    // The last two are for people: the kernels it is true for, and where in their source it stands.
    let [site, kind, conditions, _, _] = columns[..] else {
        return Err(format!("{} columns instead of 5, separated by |", columns.len()));
    };
    let conditions = conditions.split_whitespace().map(|text| parse_condition(text, lists, groups));
    let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
    if conditions.is_empty() {
        return Err("a rule without a condition fits everything".into());
    }
    let (kind, known) = match kind.strip_suffix(":known") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let by_program = conditions
        .iter()
        .any(|condition| matches!(condition, Condition::User(_) | Condition::UserAt(_)));
    Ok(Rule {
        site: site.to_owned(),
        kind: parse_kind(kind)?,
        known_lock: known || by_program,
        conditions,
    })
}

fn parse_kind(text: &str) -> Result<WaitKind, String> {
    let (cause, mode) = text.split_once(':').unwrap_or((text, ""));
    let mode = match mode {
        "" => None,
        "read" => Some(LockMode::Read),
        "write" => Some(LockMode::Write),
        _ => return Err(format!("`{mode}` is no mode of a lock: read or write")),
    };
    match cause {
        "idle" => Ok(WaitKind::Idle),
        "-" => Ok(WaitKind::Other),
        _ => Cause::from_word(cause)
            .map(|cause| WaitKind::Harm(cause, mode))
            .ok_or_else(|| format!("`{cause}` is no cause")),
    }
}

fn parse_condition(
    text: &str,
    lists: &BTreeMap<&str, &str>,
    groups: &mut Vec<Vec<Pattern>>,
) -> Result<Condition, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is no condition"))?;
    if key == "state" {
        return Ok(Condition::State(match value {
            "S" => TaskState::Sleeping,
            "D" => TaskState::Uninterruptible,
            "T" => TaskState::Stopped,
            "t" => TaskState::Traced,
            "I" => TaskState::Idle,
            _ => return Err(format!("`{value}` is no state: S D T t I")),
        }));
    }
    let mut patterns = Vec::new();
    for name in value.split(',') {
        match name.strip_prefix('@') {
            Some(list) => {
                let names = lists.get(list).ok_or_else(|| format!("no list is called @{list}"))?;
                patterns.extend(names.split(',').map(Pattern::parse));
            }
            None => patterns.push(Pattern::parse(name)),
        }
    }
    let group = groups.len();
    groups.push(patterns);
    match key {
        "at" => Ok(Condition::At(group)),
        "by" => Ok(Condition::By(group)),
        "in" => Ok(Condition::In(group)),
        "user" => Ok(Condition::User(group)),
        "user-at" => Ok(Condition::UserAt(group)),
        _ => Err(format!("`{key}` is no condition: at, by, in, user, user-at or state")),
    }
}

impl Pattern {
    fn parse(text: &str) -> Self {
        match text.trim().strip_suffix('*') {
            Some(prefix) => Self { text: prefix.to_owned(), prefix: true },
            None => Self { text: text.trim().to_owned(), prefix: false },
        }
    }
}
