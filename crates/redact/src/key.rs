//! Which token stands for which name.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

const SCHEMA: &str = "coldcase.redaction/1";

/// What a token stands for; tokens of different spaces never mix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum Space {
    Host,
    User,
    /// A process, and its threads of the same name.
    Process,
    Thread,
    Folder,
    /// A file's name without what says its kind: `libacme` of `libacme.so.6`.
    File,
    Function,
    Event,
    /// A word of a command line.
    Argument,
    /// Words that a capture holds.
    Quote,
}

impl Space {
    pub const ALL: [Self; 10] = [
        Self::Host,
        Self::User,
        Self::Process,
        Self::Thread,
        Self::Folder,
        Self::File,
        Self::Function,
        Self::Event,
        Self::Argument,
        Self::Quote,
    ];

    /// What its tokens begin with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::User => "user",
            Self::Process => "proc",
            Self::Thread => "thread",
            Self::Folder => "path",
            Self::File => "file",
            Self::Function => "fn",
            Self::Event => "event",
            Self::Argument => "arg",
            Self::Quote => "text",
        }
    }

    /// Threads and processes of a pool share a number, and have one of their own behind it: `thread-2.1`.
    pub fn has_pools(self) -> bool {
        matches!(self, Self::Process | Self::Thread)
    }
}

/// A token: `thread-2.1` is the first name of the second pool of threads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct Token {
    pub space: Space,
    pub number: u32,
    pub member: Option<u32>,
}

impl Token {
    /// The token that a text is, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (word, numbers) = text.split_once('-')?;
        let space = Space::ALL.into_iter().find(|space| space.word() == word)?;
        let (number, member) = match numbers.split_once('.') {
            Some((number, member)) if space.has_pools() => (number, Some(number_of(member)?)),
            Some(_) => return None,
            None => (numbers, None),
        };
        Some(Self { space, number: number_of(number)?, member })
    }
}

/// A decimal number as this file writes it.
fn number_of(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| plain)
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.space.word(), self.number)?;
        self.member.map_or(Ok(()), |member| write!(f, ".{member}"))
    }
}

/// Tokens and the names that they stand for: private, and all that it takes to turn a redacted text back.
#[derive(Clone, Debug, Default)]
pub struct Key {
    names: BTreeMap<Token, String>,
    tokens: FxHashMap<(Space, String), Token>,
    pools: FxHashMap<(Space, String), u32>,
    last: FxHashMap<Space, u32>,
    last_member: FxHashMap<(Space, u32), u32>,
}

/// A file that is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no JSON.
    #[error("it is no key of coldcase: {0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON of another kind.
    #[error("it is no key of coldcase: its `schema` is not \"{SCHEMA}\"")]
    Schema,
    /// An entry is wrong.
    #[error("its entry `{0}` is no token with a name")]
    Entry(String),
}

impl Key {
    /// Reads a key as [`Key::to_json`] writes it.
    ///
    /// # Errors
    ///
    /// If the text is no such key.
    pub fn from_json(text: &str) -> Result<Self, KeyError> {
        let value: Value = serde_json::from_str(text)?;
        let names = value["names"].as_object().filter(|_| value["schema"] == SCHEMA);
        let mut key = Self::default();
        for (token, name) in names.ok_or(KeyError::Schema)? {
            let entry = Token::parse(token).zip(name.as_str());
            let (token, name) = entry.ok_or_else(|| KeyError::Entry(token.clone()))?;
            key.insert(token, name);
        }
        Ok(key)
    }

    /// The key as a JSON object of tokens and names.
    #[must_use]
    pub fn to_json(&self) -> String {
        let names = self.names.iter().map(|(token, name)| (token.to_string(), name.clone().into()));
        let names: Map<String, Value> = names.collect();
        let key = serde_json::json!({"schema": SCHEMA, "names": names});
        format!("{key:#}\n")
    }

    /// Every token with its name.
    pub fn names(&self) -> impl Iterator<Item = (String, &str)> {
        self.names.iter().map(|(token, name)| (token.to_string(), name.as_str()))
    }

    /// The name that a token stands for.
    pub(crate) fn name(&self, token: Token) -> Option<&str> {
        self.names.get(&token).map(String::as_str)
    }

    /// The token that a name has already.
    pub(crate) fn known(&self, space: Space, name: &str) -> Option<Token> {
        self.tokens.get(&(space, name.to_owned())).copied()
    }

    /// A name's token, new or known.
    pub(crate) fn token(&mut self, space: Space, name: &str) -> Token {
        if let Some(token) = self.known(space, name) {
            return token;
        }
        let next = self.last.get(&space).map_or(1, |last| last + 1);
        let pool = pool(name).filter(|_| space.has_pools());
        let number = pool
            .and_then(|pool| self.pools.get(&(space, pool.to_owned())).copied())
            .unwrap_or(next);
        let member =
            pool.map(|_| self.last_member.get(&(space, number)).map_or(1, |last| last + 1));
        let token = Token { space, number, member };
        self.insert(token, name);
        token
    }

    fn insert(&mut self, token: Token, name: &str) {
        let Token { space, number, member } = token;
        if let (Some(pool), Some(member)) = (pool(name), member) {
            self.pools.insert((space, pool.to_owned()), number);
            let last = self.last_member.entry((space, number)).or_default();
            *last = member.max(*last);
        }
        let last = self.last.entry(space).or_default();
        *last = number.max(*last);
        self.tokens.insert((space, name.to_owned()), token);
        self.names.insert(token, name.to_owned());
    }
}

/// What numbered names share: `serve-` of `serve-4`. The number itself is replaced too: it may be a customer's.
fn pool(name: &str) -> Option<&str> {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    let parted = stem.ends_with(['-', '_', '/', ':', '#', ' ', '.']);
    (parted && stem.len() > 1 && stem.len() < name.len()).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_threads_stay_together() {
        let mut key = Key::default();
        let mut token = |name: &str| key.token(Space::Thread, name).to_string();
        assert_eq!(token("serve-4"), "thread-1.1");
        assert_eq!(token("ingest"), "thread-2");
        assert_eq!(token("serve-2"), "thread-1.2");
        assert_eq!(token("ingest"), "thread-2");
        assert_eq!(token("python3"), "thread-3", "a version is no number of a thread");
        assert_eq!(key.token(Space::Process, "serve-4").to_string(), "proc-1.1");
    }

    #[test]
    fn a_key_that_is_read_again_goes_on_where_it_ended() {
        let mut key = Key::default();
        for name in ["serve-4", "ingest", "\"\u{1b}\n"] {
            key.token(Space::Thread, name);
        }
        let mut again = Key::from_json(&key.to_json()).unwrap();
        assert_eq!(again.to_json(), key.to_json());
        assert_eq!(
            again.token(Space::Thread, "\"\u{1b}\n"),
            key.token(Space::Thread, "\"\u{1b}\n")
        );
        assert_eq!(again.token(Space::Thread, "serve-5").to_string(), "thread-1.2");
        assert_eq!(again.token(Space::Thread, "new").to_string(), "thread-4");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (text, word) in [
            ("{", "no key"),
            ("{\"schema\": \"coldcase.findings/1\"}", "schema"),
            ("{\"schema\": \"coldcase.redaction/1\", \"names\": {\"a\": \"b\"}}", "`a`"),
            ("{\"schema\": \"coldcase.redaction/1\", \"names\": {\"host-1\": 1}}", "`host-1`"),
        ] {
            let error = Key::from_json(text).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn only_what_is_written_so_is_a_token() {
        assert!(Token::parse("thread-2.1").is_some());
        for text in ["thread-0", "thread-01", "thread-", "thread-1.", "host-1.2", "hosts-1", "-1"] {
            assert_eq!(Token::parse(text), None, "{text}");
        }
    }
}
