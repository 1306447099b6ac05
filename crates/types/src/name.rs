//! Short shared names: ids of streams, stations, cameras, fields and rules. Cloning one costs a reference count.

use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Deref;

use arcstr::ArcStr;
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// An immutable, cheaply cloned id. Ordered and hashed as its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(ArcStr);

/// Maps and sets by names or by what holds names. Their hash is keyed at random, so that no sender can choose names that collide, and
/// takes a third of the time of the standard library's.
pub type Map<K, V> = HashMap<K, V, ahash::RandomState>;
pub type Set<K> = HashSet<K, ahash::RandomState>;

impl Name {
    pub fn new(text: &str) -> Self {
        Self(ArcStr::from(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From now on it and its clones live as long as the process, and cloning them writes nowhere: the threads through which readings
    /// pass need not wait for each other's reference counts. For names of the configuration and of stations, which are few.
    pub fn keep(&self) {
        self.0.leak();
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(ArcStr::from(text))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name::new(text))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// Hands out one shared [`Name`] per distinct text, so that a stream of readings allocates no ids.
///
/// Holds at most `capacity` names, which are kept for good; past that a new text gets a name of its own, so hostile ids cannot fill the
/// memory.
#[derive(Debug)]
pub struct Interner {
    names: Set<Name>,
    capacity: usize,
}

impl Interner {
    pub fn new(capacity: usize) -> Self {
        Self { names: Set::default(), capacity }
    }

    pub fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.names.get(text) {
            return name.clone();
        }
        let name = Name::new(text);
        if self.names.len() < self.capacity {
            name.keep();
            self.names.insert(name.clone());
        }
        name
    }
}
