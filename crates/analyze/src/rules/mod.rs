//! Wait-site rules: a table that a person can read and extend, applied to stacks.
//!
//! The table is `rules.txt`; its head explains the columns.

mod matcher;
mod parse;
#[cfg(test)]
mod tests;

use coldcase_ingest::capture::TaskState;

use crate::findings::{Cause, LockMode};
pub(crate) use matcher::{Matcher, is_scheduler};
use parse::parse;

const BUILT_IN: &str = include_str!("rules.txt");

/// A table of rules.
#[derive(Clone, Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Functions that conditions name, a list for each.
    groups: Vec<Vec<Pattern>>,
}

/// One rule: the first that fits a stack says what its thread waits for.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The site's name.
    pub site: String,
    /// What kind of waiting it is.
    pub kind: WaitKind,
    /// What it names is a lock of the program and no queue, which a futex alone does not tell.
    pub known_lock: bool,
    conditions: Vec<Condition>,
}

/// What kind of waiting a site is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum WaitKind {
    /// Something that a freeze is made of, with the mode if it is a lock.
    Harm(Cause, Option<LockMode>),
    /// Rest: the thread lacks nothing.
    Idle,
    /// Neither: a child process, a work queue.
    Other,
}

/// What a rule asks of a stack; but for the state, by a number in [`Rules::groups`].
#[derive(Clone, Debug)]
enum Condition {
    At(usize),
    By(usize),
    In(usize),
    User(usize),
    UserAt(usize),
    State(TaskState),
}

/// A function name, or the beginning of one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pattern {
    text: String,
    prefix: bool,
}

/// A line of a rule table that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl std::fmt::Display for RuleError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for RuleError {}

impl Rules {
    /// The rules that come with coldcase.
    #[must_use]
    pub fn built_in() -> Self {
        // A test reads the whole table, so nothing is left out here.
        parse(BUILT_IN).unwrap_or_else(|_| Self { rules: Vec::new(), groups: Vec::new() })
    }

    /// These rules, with those of `text` before them.
    ///
    /// # Errors
    ///
    /// Names the first line that cannot be read.
    pub fn extended(&self, text: &str) -> Result<Self, RuleError> {
        let mut rules = parse(text)?;
        let shift = rules.groups.len();
        rules.groups.extend(self.groups.iter().cloned());
        rules.rules.extend(self.rules.iter().cloned().map(|mut rule| {
            for condition in &mut rule.conditions {
                match condition {
                    Condition::At(group)
                    | Condition::By(group)
                    | Condition::In(group)
                    | Condition::User(group)
                    | Condition::UserAt(group) => *group += shift,
                    Condition::State(_) => {}
                }
            }
            rule
        }));
        Ok(rules)
    }

    /// The rule of this number, as [`Matcher::number`] gives it.
    pub(crate) fn rule(&self, number: usize) -> &Rule {
        &self.rules[number]
    }
}
