//! What the registry, the connections and the calls say of an endpoint, combined into one state.
//!
//! Pure; docs/endpoints.md has the same table, and a test compares the two.

use serde::Serialize;
use std::fmt;

macro_rules! named {
    ($(#[doc = $doc:literal])+ $(#[$attr:meta])* $vis:vis enum $type:ident {
        $($(#[doc = $each:literal])+ $name:ident = $text:literal,)*
    }) => {
        $(#[doc = $doc])+
        $(#[$attr])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $type {
            $($(#[doc = $each])+ $name,)*
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $(Self::$name => $text,)*
                })
            }
        }

        #[cfg(test)]
        #[allow(dead_code, reason = "not every list is needed")]
        impl $type {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

named! {
    /// The state of an endpoint.
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    #[non_exhaustive]
    pub enum EndpointState {
        /// It is dialled, or about to be; nobody has answered yet.
        Connecting = "connecting",
        /// It takes calls.
        Serving = "serving",
        /// It is connected and does not answer: its calls wait, no new ones are put on it.
        Silent = "silent",
        /// The registry no longer lists it, but it answers as the same instance: it takes calls,
        /// for a limited time.
        Probation = "on probation",
        /// It failed too often: it gets no calls but for single ones that try it.
        Ejected = "ejected",
        /// Its provider has said that it leaves; running calls end on it.
        Leaving = "leaving",
        /// An operator has taken it out.
        Disabled = "disabled",
        /// It is listed and not dialled: the client has as many endpoints as it needs.
        Idle = "idle",
        /// It was given up and is not listed any more.
        Gone = "gone",
    }
}

named! {
    /// What the registry says.
    pub(crate) enum Listing {
        /// The instance is on the list.
        Listed = "listed",
        /// It is on no list any more, which does not prove anything.
        Vanished = "vanished",
        /// It is gone for certain, or has been missing for too long.
        Removed = "removed",
        /// An operator has disabled it.
        Disabled = "disabled",
    }
}

named! {
    /// What the connections say.
    pub(crate) enum Reach {
        /// There is none.
        Nothing = "none",
        /// There is none, since a moment: it was lost without a word.
        Lost = "just lost",
        /// One is open, its provider has not said who it is.
        Greeting = "not greeted",
        /// One answers as the instance that is listed, or was.
        Answers = "answers",
        /// One answers as another instance.
        Stranger = "another instance",
        /// Those that are open do not answer.
        Silent = "silent",
        /// The provider has said that it leaves.
        Leaves = "leaves",
    }
}

named! {
    /// What calls say.
    pub(crate) enum Trust {
        /// Nothing speaks against it.
        Trusted = "trusted",
        /// Too much does.
        Ejected = "ejected",
    }
}

/// The state that follows.
#[expect(clippy::match_same_arms, reason = "the rows stand in the order of the table")]
pub(crate) fn combine(listing: Listing, reach: Reach, trust: Trust) -> EndpointState {
    use EndpointState as State;
    match (listing, reach, trust) {
        (Listing::Removed, _, _) => State::Gone,
        (Listing::Disabled, _, _) => State::Disabled,
        (_, Reach::Leaves, _) => State::Leaving,
        (_, Reach::Silent, _) => State::Silent,
        (Listing::Vanished, Reach::Nothing | Reach::Stranger, _) => State::Gone,
        (Listing::Vanished, Reach::Lost | Reach::Greeting, _) => State::Connecting,
        (Listing::Listed, Reach::Nothing | Reach::Lost | Reach::Greeting, _) => State::Connecting,
        (_, _, Trust::Ejected) => State::Ejected,
        (Listing::Vanished, Reach::Answers, _) => State::Probation,
        (Listing::Listed, Reach::Answers | Reach::Stranger, _) => State::Serving,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in the document, each cell without its marks.
    fn rows() -> Vec<Vec<String>> {
        let document = include_str!("../../../docs/endpoints.md");
        let (_, table) = document.split_once("| the registry says |").expect("no table");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        rows.map(cells).collect()
    }

    fn fits(cell: &str, value: &str) -> bool {
        cell == "any" || cell.split(", ").any(|each| each == value)
    }

    #[test]
    fn the_document_says_what_the_code_does() {
        let rows = rows();
        let mut used = vec![false; rows.len()];
        for &listing in Listing::ALL {
            for &reach in Reach::ALL {
                for &trust in Trust::ALL {
                    let said = [listing.to_string(), reach.to_string(), trust.to_string()];
                    let row = rows
                        .iter()
                        .position(|row| row.iter().zip(&said).all(|(cell, s)| fits(cell, s)))
                        .unwrap_or_else(|| panic!("no row for {said:?}"));
                    used[row] = true;
                    let state = format!("**{}**", combine(listing, reach, trust));
                    assert_eq!(rows[row][3], state, "{said:?}");
                }
            }
        }
        assert!(!used.contains(&false), "a row that never applies: {used:?}");
    }

    #[test]
    fn what_vanishes_stays_as_long_as_it_answers_or_may_do_so_in_a_moment() {
        for &reach in Reach::ALL {
            for &trust in Trust::ALL {
                let state = combine(Listing::Vanished, reach, trust);
                let gone = matches!(reach, Reach::Nothing | Reach::Stranger);
                assert_eq!(state == EndpointState::Gone, gone, "{reach:?}");
                let calls = matches!(state, EndpointState::Serving | EndpointState::Probation);
                assert!(!calls || reach == Reach::Answers, "{reach:?}");
            }
        }
    }
}
