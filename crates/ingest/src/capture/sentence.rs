//! Sentences in which names stay apart from the words around them.
//!
//! A warning may name a file, the evidence a thread. Who wants to show a report to strangers replaces these names, and a search
//! for them in the text would be wrong both ways: a thread may be called `a`, or `waits`.

use std::fmt;
use std::ops::{Deref, Range};

/// A text that knows which stretches of it are names out of a capture or of this machine's files. It reads as a plain text.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Sentence {
    text: String,
    names: Vec<(Range<usize>, NameKind)>,
}

/// What a name in a [`Sentence`] names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NameKind {
    /// A thread or a process.
    Task,
    /// A file or folder.
    Path,
    /// An event.
    Event,
    /// Words that the capture itself holds, which may have names in them.
    Quote,
}

impl Sentence {
    /// Goes on with words of our own.
    #[must_use]
    pub fn words(mut self, words: &str) -> Self {
        self.text.push_str(words);
        self
    }

    /// Goes on with a name.
    #[must_use]
    pub fn name(mut self, kind: NameKind, name: &str) -> Self {
        let start = self.text.len();
        self.text.push_str(name);
        self.names.push((start..self.text.len(), kind));
        self
    }

    /// Goes on with the name of a thread or process.
    #[must_use]
    pub fn task(self, name: &str) -> Self {
        self.name(NameKind::Task, name)
    }

    /// Goes on with the path of a file or folder.
    #[must_use]
    pub fn path(self, path: impl fmt::Display) -> Self {
        self.name(NameKind::Path, &path.to_string())
    }

    /// Goes on with another sentence.
    #[must_use]
    pub fn sentence(mut self, other: &Self) -> Self {
        let start = self.text.len();
        self.text.push_str(&other.text);
        let moved = |(range, kind): &(Range<usize>, NameKind)| {
            (range.start + start..range.end + start, *kind)
        };
        self.names.extend(other.names.iter().map(moved));
        self
    }

    /// Sentences with commas between them.
    #[must_use]
    pub fn list(sentences: &[Self]) -> Self {
        sentences.iter().enumerate().fold(Self::default(), |list, (at, sentence)| {
            list.words(if at == 0 { "" } else { ", " }).sentence(sentence)
        })
    }

    /// The same sentence with other names.
    #[must_use]
    pub fn renamed(&self, mut rename: impl FnMut(NameKind, &str) -> String) -> Self {
        let (mut sentence, mut at) = (Self::default(), 0);
        for (range, kind) in &self.names {
            sentence = sentence.words(&self.text[at..range.start]);
            sentence = sentence.name(*kind, &rename(*kind, &self.text[range.clone()]));
            at = range.end;
        }
        sentence.words(&self.text[at..])
    }
}

impl Deref for Sentence {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl From<String> for Sentence {
    fn from(words: String) -> Self {
        Self { text: words, names: Vec::new() }
    }
}

impl From<&str> for Sentence {
    fn from(words: &str) -> Self {
        words.to_owned().into()
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_replaced() {
        let inner = Sentence::from("a waits for ").task("a");
        let sentence = Sentence::default().path("/a").words(": ").sentence(&inner).words(" (a)");
        assert_eq!(&*sentence, "/a: a waits for a (a)");
        let renamed = sentence.renamed(|kind, name| format!("<{kind:?} {name}>"));
        assert_eq!(&*renamed, "<Path /a>: a waits for <Task a> (a)");
        assert_eq!(&*renamed.renamed(|_, _| "b".to_owned()), "b: a waits for b (a)");
    }
}
