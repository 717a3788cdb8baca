//! Tables by keys that whoever wrote the capture could choose: addresses, names, numbers of events.
//!
//! With a hash that everybody knows, a capture can be made in which all keys fall into one place of a table, and each is
//! compared with all that came before: 30 MB of addresses would take hours. So these are hashed with a seed that is another in
//! each run. It decides where a row is found, and nothing else: **a table like this is never iterated**, or what is read
//! from it is put in order first, since the same capture gives the same bytes.

use std::collections::HashMap;

/// A table by keys from a capture. Keys that are numbers of our own rows can have a quicker one.
pub type SeededMap<K, V> = HashMap<K, V, Seed>;

/// What a [`SeededMap`] is hashed with.
pub type Seed = foldhash::fast::RandomState;
