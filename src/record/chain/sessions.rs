//! Which sessions are open: what leaves alone say of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::entry::SessionTag;
use crate::record::limits;
use crate::record::time::Timestamp;

/// Open sessions by their tags; at most [`limits::SESSIONS_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OpenSessions {
    sessions: BTreeMap<SessionTag, OpenSession>,
    /// No session's last entry is older: below it nothing can have lapsed.
    oldest_at: Option<Timestamp>,
}

/// A session that an application opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Leaf index of the agent's registration.
    pub agent: u64,
    /// Leaf index of the application's registration.
    pub application: u64,
    /// Leaf index of the `session` entry.
    pub opened: u64,
    /// When the last entry in it was made.
    pub last_at: Timestamp,
}

impl OpenSession {
    /// Whether it has not lapsed by then: [`limits::SESSION_IDLE_MAX_MS`] after its last entry it is as good as never
    /// opened.
    fn lives(&self, at: Timestamp) -> bool {
        at.millis_since(self.last_at) <= limits::SESSION_IDLE_MAX_MS
    }
}

impl OpenSessions {
    /// The session of this tag, if it is open at that time.
    pub(super) fn get(&self, tag: &SessionTag, at: Timestamp) -> Option<&OpenSession> {
        self.sessions.get(tag).filter(|session| session.lives(at))
    }

    /// Whether one more may be opened at that time.
    pub(super) fn has_room(&self, at: Timestamp) -> bool {
        self.sessions.len() < limits::SESSIONS_MAX
            || (self.may_have_lapsed(at) && self.sessions.values().any(|session| !session.lives(at)))
    }

    fn may_have_lapsed(&self, at: Timestamp) -> bool {
        self.oldest_at.is_some_and(|oldest| at.millis_since(oldest) > limits::SESSION_IDLE_MAX_MS)
    }

    pub(super) fn open(&mut self, tag: SessionTag, session: OpenSession) {
        let at = session.last_at;
        if self.sessions.len() >= limits::SESSIONS_MAX && self.may_have_lapsed(at) {
            self.sessions.retain(|_, session| session.lives(at));
            self.oldest_at = self.sessions.values().map(|session| session.last_at).min();
        }
        self.oldest_at = self.oldest_at.or(Some(at));
        self.sessions.insert(tag, session);
    }

    /// Notes an entry in a session. One that has lapsed is forgotten.
    pub(super) fn touch(&mut self, tag: &SessionTag, at: Timestamp) {
        if let Some(session) = self.sessions.get_mut(tag) {
            if session.lives(at) {
                session.last_at = at;
            } else {
                self.sessions.remove(tag);
            }
        }
    }

    /// Ends the sessions of a registration that ended.
    pub(super) fn close_all(&mut self, of: impl Fn(&OpenSession) -> bool) {
        self.sessions.retain(|_, session| !of(session));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis).unwrap()
    }

    fn tag(number: u32) -> SessionTag {
        let mut tag = [0; 16];
        tag[..4].copy_from_slice(&number.to_be_bytes());
        SessionTag(tag)
    }

    fn session(opened: u64, millis: i64) -> OpenSession {
        OpenSession { agent: 1, application: 2, opened, last_at: at(millis) }
    }

    #[test]
    fn a_session_lapses_a_day_after_its_last_entry_and_makes_room_only_then() {
        let day = limits::SESSION_IDLE_MAX_MS;
        let mut open = OpenSessions::default();
        for number in 0..u32::try_from(limits::SESSIONS_MAX).unwrap() {
            assert!(open.has_room(at(0)));
            open.open(tag(number), session(u64::from(number), i64::from(number)));
        }
        assert!(!open.has_room(at(day)), "all are young");
        assert!(open.has_room(at(day + 1)), "the first has lapsed");
        open.touch(&tag(0), at(day));
        assert!(!open.has_room(at(day + 1)), "it has not: there was another entry");
        assert!(open.get(&tag(1), at(day + 1)).is_some() && open.get(&tag(1), at(day + 2)).is_none());
        assert!(open.has_room(at(day + 2)));
        open.open(tag(u32::MAX), session(7, day + 2));
        assert!(open.sessions.len() == limits::SESSIONS_MAX && !open.has_room(at(day + 2)));
        open.touch(&tag(2), at(2 * day + 10));
        assert!(open.get(&tag(2), at(2 * day + 10)).is_none(), "what has lapsed is not revived");
    }
}
