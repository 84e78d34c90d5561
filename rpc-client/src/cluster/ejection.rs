//! Who may be out of rotation: never more than half of those that can be reached. Pure.

/// What is known of an endpoint that can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It serves.
    In,
    /// It should go; since when, in ms.
    Out { since: u64 },
    /// It is out; since when, in ms.
    IsOut { since: u64 },
}

/// What is to be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sentence {
    /// Nothing.
    Stay,
    /// It goes.
    Eject,
    /// It stays in, or comes back, for want of others.
    Pardon,
}

/// Decides about all endpoints of a service that can be reached. Those that are out longest come
/// back first; those that should go longest go first.
pub(super) fn settle(endpoints: &[Wanted]) -> Vec<Sentence> {
    let mut sentences = vec![Sentence::Stay; endpoints.len()];
    let mut room = endpoints.len() / 2;
    let mut out: Vec<_> = (0..endpoints.len())
        .filter_map(|index| match endpoints[index] {
            Wanted::IsOut { since } => Some((since, index)),
            _ => None,
        })
        .collect();
    out.sort_unstable();
    let too_many = out.len().saturating_sub(room);
    for (_, index) in &out[..too_many] {
        sentences[*index] = Sentence::Pardon;
    }
    room -= out.len() - too_many;
    let mut next: Vec<_> = (0..endpoints.len())
        .filter_map(|index| match endpoints[index] {
            Wanted::Out { since } => Some((since, index)),
            _ => None,
        })
        .collect();
    next.sort_unstable();
    for (_, index) in next {
        sentences[index] = if room > 0 { Sentence::Eject } else { Sentence::Pardon };
        room = room.saturating_sub(1);
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::{Sentence::*, Wanted::*, *};

    #[test]
    fn of_one_none_goes_of_two_or_three_one_and_half_of_many() {
        assert_eq!(settle(&[Out { since: 1 }]), [Pardon]);
        assert_eq!(settle(&[Out { since: 2 }, Out { since: 1 }]), [Pardon, Eject]);
        assert_eq!(settle(&[In, Out { since: 1 }, Out { since: 2 }]), [Stay, Eject, Pardon]);
        let many = settle(&[Out { since: 1 }; 10]);
        assert_eq!(many.iter().filter(|s| **s == Eject).count(), 5);
    }

    #[test]
    fn who_is_out_counts_and_comes_back_when_the_others_are_lost() {
        assert_eq!(settle(&[IsOut { since: 1 }, Out { since: 2 }, In]), [Stay, Pardon, Stay]);
        assert_eq!(settle(&[IsOut { since: 1 }]), [Pardon]);
        let three = [IsOut { since: 5 }, IsOut { since: 3 }, In];
        assert_eq!(settle(&three), [Stay, Pardon, Stay]);
        assert_eq!(settle(&[]), []);
    }
}
