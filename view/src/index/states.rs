//! States: a kind of time with a label, each with a number.
//!
//! The first states are the kinds themselves, without a label. Labels come from the guest, so there can be any number of
//! them: behind the last number a state is that of its kind.

use rustc_hash::FxHashMap;

use super::kind::Kind;

/// Number of a state.
pub type StateId = u16;

/// States with a label are no more than this; a machine has some hundreds.
const STATES_MAX: usize = 1 << 15;
/// Labels are cut to so many bytes.
const LABEL_BYTES_MAX: usize = 120;

/// All states.
#[derive(Clone, Debug)]
pub struct States {
    states: Vec<(Kind, String)>,
    numbers: FxHashMap<(Kind, String), StateId>,
}

impl Default for States {
    fn default() -> Self {
        let states = Kind::ALL.iter().map(|kind| (*kind, String::new()));
        Self::of(states.collect())
    }
}

impl States {
    /// Those, by number.
    #[must_use]
    pub fn of(states: Vec<(Kind, String)>) -> Self {
        let numbered = states.iter().cloned().zip(0..=StateId::MAX);
        Self {
            numbers: numbered.collect(),
            states,
        }
    }

    /// The state without a label.
    #[must_use]
    pub fn plain(kind: Kind) -> StateId {
        StateId::from(kind.number())
    }

    /// Number of a state.
    pub fn number(&mut self, kind: Kind, label: String) -> StateId {
        let label = cut(label);
        let next = self.states.len();
        match self.numbers.get(&(kind, label.clone())) {
            Some(number) => *number,
            None if next >= STATES_MAX => Self::plain(kind),
            None => {
                let number = StateId::try_from(next).unwrap_or(Self::plain(kind));
                self.states.push((kind, label.clone()));
                self.numbers.insert((kind, label), number);
                number
            }
        }
    }

    /// Says how a state is called from now on.
    pub fn rename(&mut self, state: StateId, label: String) {
        if let Some((_, own)) = self.states.get_mut(usize::from(state)) {
            *own = cut(label);
        }
    }

    /// Kind of a state; unknown when there is none of that number.
    #[must_use]
    pub fn kind(&self, state: StateId) -> Kind {
        let state = self.states.get(usize::from(state));
        state.map_or(Kind::Unknown, |(kind, _)| *kind)
    }

    /// What it is called; empty when it has no name.
    #[must_use]
    pub fn label(&self, state: StateId) -> &str {
        let state = self.states.get(usize::from(state));
        state.map_or("", |(_, label)| label)
    }

    /// All of them, by number.
    #[must_use]
    pub fn all(&self) -> &[(Kind, String)] {
        &self.states
    }
}

fn cut(mut label: String) -> String {
    if label.len() > LABEL_BYTES_MAX {
        let mut end = LABEL_BYTES_MAX;
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        label.truncate(end);
        label.push('…');
    }
    label
}
